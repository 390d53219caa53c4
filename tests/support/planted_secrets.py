"""Secrets to plant in projects: tokens that are made up in the forms that services use, and files that are secrets by their names.

No token is written down here. Each is made from a seed, so that nothing in this repository looks like a leak.
"""

import base64
import string
from random import Random

__all__ = ["private_key", "secret_files", "tokens"]

_ALNUM = string.ascii_letters + string.digits
_WORD = _ALNUM + "_-"
_UPPER = string.ascii_uppercase + string.digits
_BASE32 = string.ascii_uppercase + "234567"
_HEX = "0123456789abcdef"
_DIGITS = "123456789"

_FORMS: dict[str, tuple[str | tuple[str, int], ...]] = {
    "AWS access key": ("AKIA", (_BASE32, 16)),
    "AWS temporary key": ("ASIA", (_BASE32, 16)),
    "AWS secret key": ("aws_secret_access_key = ", (_ALNUM + "/+", 39), "k"),
    "GitHub": ("ghp_", (_ALNUM, 36)),
    "GitHub OAuth": ("gho_", (_ALNUM, 36)),
    "GitHub server": ("ghs_", (_ALNUM, 36)),
    "GitHub refresh": ("ghr_", (_ALNUM, 36)),
    "GitHub fine-grained": ("github_pat_11", (_UPPER, 20), "_", (_ALNUM, 59)),
    "GitLab": ("glpat-", (_WORD, 19), "k"),
    "GitLab trigger": ("glptt-", (_HEX, 40)),
    "Slack bot": ("xoxb-", (_DIGITS, 12), "-", (_DIGITS, 13), "-", (_ALNUM, 24)),
    "Slack user": ("xoxp-", (_DIGITS, 12), "-", (_DIGITS, 12), "-", (_DIGITS, 12), "-", (_HEX, 32)),
    "Slack app": ("xapp-1-A", (_UPPER, 10), "-", (_DIGITS, 13), "-", (_HEX, 64)),
    "Slack webhook": ("https://hooks.slack.com/services/T", (_UPPER, 10), "/B", (_UPPER, 10), "/", (_ALNUM, 24)),
    "Discord webhook": ("https://discord.com/api/webhooks/", (_DIGITS, 18), "/", (_ALNUM, 68)),
    "Telegram": ((_DIGITS, 10), ":AA", (_WORD, 32), "k"),
    "Stripe": ("sk_live_", (_ALNUM, 24)),
    "Stripe restricted": ("rk_live_51", (_ALNUM, 97)),
    "Stripe webhook": ("whsec_", (_ALNUM, 32)),
    "Square": ("sq0csp-", (_ALNUM, 43)),
    "Shopify": ("shpat_", (_HEX, 32)),
    "Google API": ("AIzaSy", (_WORD, 32), "k"),
    "Google client": ("GOCSPX-", (_WORD, 27), "k"),
    "Google access": ("ya29.a0", (_WORD, 119), "k"),
    "Google refresh": ("1//0", (_WORD, 59), "k"),
    "Azure storage": ("AccountName=shop;AccountKey=", (_ALNUM + "+/", 86), "=="),
    "Azure bus": ("SharedAccessKeyName=Root;SharedAccessKey=", (_ALNUM + "+/", 43), "="),
    "Azure client": ((_ALNUM, 3), "8Q~", (_ALNUM, 34)),
    "Azure DevOps": ((_ALNUM, 52), "JQQJ99", (_ALNUM, 22), "AZDO"),
    "DigitalOcean": ("dop_v1_", (_HEX, 64)),
    "Heroku": ("HRKU-AA", (_ALNUM, 58)),
    "Fly.io": ("FlyV1 fm2_", (_ALNUM, 120)),
    "Netlify": ("nfp_", (_ALNUM, 36)),
    "Tailscale": ("tskey-auth-k", (_ALNUM, 10), "CNTRL-", (_ALNUM, 32)),
    "Vault": ("hvs.CAES", (_ALNUM, 90)),
    "Terraform": ((_ALNUM, 14), ".atlasv1.", (_ALNUM, 67)),
    "Pulumi": ("pul-", (_HEX, 40)),
    "Doppler": ("dp.pt.", (_ALNUM, 43)),
    "PlanetScale": ("pscale_tkn_", (_ALNUM, 43)),
    "Supabase": ("sbp_", (_HEX, 40)),
    "Databricks": ("dapi", (_HEX, 32)),
    "Docker": ("dckr_pat_", (_ALNUM, 27)),
    "npm": ("npm_", (_ALNUM, 36)),
    "package index": ("pypi-AgEIcHlwaS5vcmc", (_WORD, 120), "k"),
    "RubyGems": ("rubygems_", (_HEX, 48)),
    "OpenAI": ("sk-proj-", (_ALNUM, 74), "T3BlbkFJ", (_ALNUM, 74)),
    "OpenAI old": ("sk-", (_ALNUM, 48)),
    "Anthropic": ("sk-ant-api03-", (_WORD, 93), "AA"),
    "OpenRouter": ("sk-or-v1-", (_HEX, 64)),
    "Hugging Face": ("hf_", (string.ascii_letters, 34)),
    "Groq": ("gsk_", (_ALNUM, 52)),
    "Replicate": ("r8_", (_ALNUM, 37)),
    "xAI": ("xai-", (_ALNUM, 80)),
    "Perplexity": ("pplx-", (_ALNUM, 48)),
    "NVIDIA": ("nvapi-", (_WORD, 63), "k"),
    "LangSmith": ("lsv2_pt_", (_HEX, 32), "_", (_HEX, 10)),
    "SendGrid": ("SG.", (_ALNUM, 22), ".", (_ALNUM, 43)),
    "Mailchimp": ((_HEX, 32), "-us12"),
    "Brevo": ("xkeysib-", (_HEX, 64), "-", (_ALNUM, 16)),
    "Postman": ("PMAK-", (_HEX, 24), "-", (_HEX, 34)),
    "Notion": ("ntn_", (_DIGITS, 11), (_ALNUM, 35)),
    "Linear": ("lin_api_", (_ALNUM, 40)),
    "Figma": ("figd_", (_WORD, 39), "k"),
    "Atlassian": ("ATATT3xFfGF0", (_ALNUM, 180)),
    "Airtable": ("pat", (_ALNUM, 14), ".", (_HEX, 64)),
    "Grafana": ("glsa_", (_ALNUM, 32), "_", (_HEX, 8)),
    "Sentry": ("sntryu_", (_HEX, 64)),
    "New Relic": ("NRAK-", (_UPPER, 27)),
    "Dynatrace": ("dt0c01.", (_UPPER, 24), ".", (_UPPER, 64)),
    "SonarQube": ("squ_", (_HEX, 40)),
    "CircleCI": ("CCIPAT_", (_ALNUM, 22), "_", (_HEX, 40)),
    "age": ("AGE-SECRET-KEY-1", (_UPPER, 58)),
    "WireGuard": ("PrivateKey = ", (_ALNUM + "+/", 43), "="),
}

_FILES = """
.env .env.production .env-prod .env_prod settings.env prod.env conf/app.env .envs/.production/.django .envrc .dev.vars .netrc .pypirc
.pgpass .my.cnf .git-credentials .htpasswd .dockercfg .s3cfg .boto rclone.conf .databrickscfg .terraformrc infra/terraform.tfstate
infra/terraform.tfstate.backup infra/prod.tfvars infra/prod.auto.tfvars.json .vault-token .vault_pass kubeconfig prod.kubeconfig
.kube/config .aws/credentials .ssh/config .gnupg/secring .azure/accessTokens.json .config/gcloud/credentials.db .config/gh/hosts.yml
application_default_credentials.json gha-creds-1a2b3c.json local.settings.json kaggle.json sftp-config.json config/master.key
config/credentials/production.key config/secrets.yml secrets.json secrets.toml .streamlit/secrets.toml .secrets.toml k8s/secret.yaml
id_rsa deploy/id_ed25519 tls/store.p12 tls/store.jks tls/login.keytab vault.kdbx .bash_history .python_history root_accessKeys.csv
""".split()  # noqa: SIM905


def tokens(seed: int = 0) -> dict[str, str]:
    """Return made-up tokens by the name of their form."""
    random = Random(seed)
    return {
        name: "".join(part if isinstance(part, str) else "".join(random.choices(part[0], k=part[1])) for part in parts)
        for name, parts in _FORMS.items()
    }


def private_key(seed: int = 0, kind: str = "RSA ") -> str:
    """Return text in the form of a private key in PEM."""
    body = base64.b64encode(b"\x30\x82\x02\x5c" + Random(seed).randbytes(400)).decode()
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----\n"


def secret_files(seed: int = 0) -> dict[str, str]:
    """Return path -> text of files that are secrets by name or by content; each text has a value of its own."""
    random = Random(seed)

    def value() -> str:
        return "".join(random.choices(_ALNUM, k=24))

    by_content = {
        ".npmrc": f"//npm.example/:_authToken={value()}\n",
        "front/.yarnrc.yml": f"npmAuthToken: {value()}\n",
        "client_secret.json": f'{{"installed": {{"client_id": "shop", "client_secret": "{value()}"}}}}',
        "client_secret_12.apps.json": f'{{"web": {{"client_secret": "{value()}"}}}}',
        "token.json": f'{{"token": "x", "refresh_token": "{value()}"}}',
        "gcp-credentials.json": f'{{"type": "authorized_user", "refresh_token": "{value()}"}}',
        "deploy/credentials": f"[default]\naws_secret_access_key={value()}\n",
        "docker/config.json": f'{{"auths": {{"registry.example": {{"auth": "{value()}"}}}}}}',
        "office.ovpn": f"client\n<key>\n{value()}\n</key>\n",
        "wg0.conf": f"[Interface]\nPrivateKey = {value()}\n",
        "tls/server.key": private_key(1),
        "tls/server.pem": "a certificate\n" + private_key(2, ""),
        "notes": private_key(3, "OPENSSH "),
        "service-account.json": '{"private_key": "' + private_key(4).replace("\n", "\\n") + '"}',
        "putty.txt": f"PuTTY-User-Key-File-3: ssh-ed25519\n{value()}\n",
        "pip.conf": f"[global]\nindex-url = https://bob:{value()}@index.example/simple\n",
        "requirements/dev.txt": f"--index-url https://bob:{value()}@index.example/simple\n",
    }
    return {**{path: f"password={value()}\n" for path in _FILES}, **by_content}

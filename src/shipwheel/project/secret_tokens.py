"""Tokens and private keys of known forms in text.

Only forms that a service gives its tokens on purpose, so that programs recognise them: a prefix, an alphabet, a length. Nothing is guessed
from how random a text looks, since an error here stops a build. Placeholders of documentation and tokens that their vendor publishes are
no findings.
"""

import base64
import binascii
import re
from collections.abc import Iterator

import msgspec

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["FoundToken", "find_tokens"]


class FoundToken(msgspec.Struct, frozen=True):
    """A token in a file, without its value: `kind` names it ("a GitHub token"), `line` counts from 1."""

    path: str
    line: int
    kind: str

    @property
    def label(self) -> str:
        """The place and the kind: `config.py, line 3: a GitHub token`."""
        return f"{self.path}, line {self.line}: {self.kind}"


_TOKENS = (
    # kind, texts of which one is in every such token, the form
    ("an AWS access key", "AKIA ASIA", r"(?:AKIA|ASIA)[A-Z2-7]{16}(?![\"'`]?\s*[=-]>)(?!/\d{8}/)"),
    ("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,251}"),
    ("a GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ("a GitLab token", "glpat- gldt- glrt- glsoat- glcbt- glagent-", r"gl(?:pat|dt|rt|soat|cbt|agent)-[\w.-]{20,}"),
    ("a GitLab token", "glptt-", r"glptt-[0-9a-f]{40}"),
    ("a Slack token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", r"xox[abeoprs]-(?:\d-)?\d{8,}-[A-Za-z0-9-]{16,}"),
    ("a Slack token", "xapp-", r"xapp-\d-[A-Z0-9]{9,}-\d{10,}-[0-9a-f]{64}"),
    ("a Slack webhook", "hooks.slack.com/", r"hooks\.slack\.com/[a-z]{8,9}/T[A-Z0-9]{8,}/[A-Z0-9]{8,}/[A-Za-z0-9]{16,}"),
    ("a Discord webhook", "/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,}"),
    ("a Telegram bot's token", ":AA", r"\d{8,10}:AA[\w-]{33}"),
    ("a Stripe key", "k_live_", r"[sr]k_live_[A-Za-z0-9]{24,}"),
    ("a Stripe webhook secret", "whsec_", r"whsec_[A-Za-z0-9]{32}"),
    ("a Square token", "sq0", r"sq0(?:csp-[\w-]{43}|atp-[\w-]{22})"),
    ("a Shopify token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("a Google API key", "AIza", r"AIza[\w-]{35}"),
    ("a Google client secret", "GOCSPX-", r"GOCSPX-[\w-]{28}"),
    ("a Google access token", "ya29.", r"ya29\.[\w-]{60,}"),
    ("a Google refresh token", "1//0", r"1//0[\w-]{40,}"),
    ("an Azure storage key", "AccountKey=", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    ("an Azure shared access key", "SharedAccessKey=", r"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    ("an Azure client secret", "7Q~ 8Q~", r"[\w~.-]{3}[78]Q~[\w~.-]{31,34}"),
    ("an Azure key", "JQQJ99", r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}"),
    ("a DigitalOcean token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    ("a Heroku key", "HRKU-", r"HRKU-[\w-]{60}"),
    ("a Fly.io token", "fm1_ fm2_ fm1r_ fm1a_", r"fm[12][ar]?_[A-Za-z0-9+/=_-]{80,}"),
    ("a Netlify token", "nfp_", r"nfp_[A-Za-z0-9]{36}"),
    ("a Cloudflare origin key", "v1.0-", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}"),
    ("a Tailscale key", "tskey-", r"tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]{6,}CNTRL-[A-Za-z0-9]{16,}"),
    ("a HashiCorp Vault token", "hvs. hvb. hvr.", r"hv[sbr]\.[\w-]{90,}"),
    ("a Terraform token", ".atlasv1.", r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,}"),
    ("a Pulumi token", "pul-", r"pul-[0-9a-f]{40}"),
    ("a Doppler token", "dp.", r"dp\.(?:(?:pt|ct|scim|audit|sa)|st\.[\w-]+)\.[A-Za-z0-9]{40,44}"),
    ("a PlanetScale token", "pscale_", r"pscale_(?:tkn|pw|oauth)_[\w.=-]{32,}"),
    ("a Supabase key", "sbp_ sb_secret_", r"(?:sbp_[0-9a-f]{40}|sb_secret_[\w-]{31,})"),
    ("a Databricks token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?"),
    ("a Docker token", "dckr_", r"dckr_(?:pat_[\w-]{27}|oat_[\w-]{32})"),
    ("an npm token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    ("a package index token", "pypi-A", r"pypi-AgE[\w-]{60,}"),
    ("a RubyGems key", "rubygems_", r"rubygems_[0-9a-f]{48}"),
    ("an OpenAI key", "T3BlbkFJ", r"sk-(?:(?:proj|svcacct|admin)-)?[\w-]{20,200}T3BlbkFJ[\w-]{20,}"),
    ("an API key", "sk-", r"sk-[A-Za-z0-9]{48}"),
    ("an Anthropic key", "sk-ant-", r"sk-ant-[a-z]{3,}\d\d-[\w-]{80,}"),
    ("an OpenRouter key", "sk-or-", r"sk-or-v1-[0-9a-f]{64}"),
    ("a Hugging Face token", "hf_", r"hf_[A-Za-z]{34}"),
    ("a Groq key", "gsk_", r"gsk_[A-Za-z0-9]{52}"),
    ("a Replicate token", "r8_", r"r8_[A-Za-z0-9]{37}"),
    ("an xAI key", "xai-", r"xai-[A-Za-z0-9]{80}"),
    ("a Perplexity key", "pplx-", r"pplx-[A-Za-z0-9]{48}"),
    ("an NVIDIA key", "nvapi-", r"nvapi-[\w-]{60,}"),
    ("a LangSmith key", "lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    ("a Pinecone key", "pcsk_", r"pcsk_[A-Za-z0-9]{5,6}_[A-Za-z0-9]{60,}"),
    ("a SendGrid key", "SG.", r"SG\.[\w-]{22}\.[\w-]{43}"),
    ("a Mailchimp key", "-us", r"[0-9a-f]{32}-us\d{1,2}"),
    ("a Brevo key", "xkeysib-", r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    ("a Postman key", "PMAK-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    ("a Notion token", "ntn_", r"ntn_\d{11}[A-Za-z0-9]{35}"),
    ("a Linear key", "lin_", r"lin_(?:api|oauth)_[A-Za-z0-9]{40,64}"),
    ("a Figma token", "figd_", r"figd_[\w-]{40}"),
    ("an Atlassian token", "ATATT3 ATCTT3", r"AT[AC]TT3[\w=-]{150,}"),
    ("an Airtable token", "pat", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    ("a Grafana token", "glsa_ glc_", r"(?:glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_eyJ[\w+/=-]{32,})"),
    ("a Sentry token", "sntrys_ sntryu_", r"(?:sntrys_eyJ[\w+/=-]{80,}|sntryu_[0-9a-f]{64})"),
    ("a New Relic key", "NRAK-", r"NRAK-[A-Z0-9]{27}"),
    ("a Dynatrace token", "dt0c01.", r"dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    ("a SonarQube token", "sqa_ sqp_ squ_", r"sq[apu]_[0-9a-f]{40}"),
    ("a CircleCI token", "CCIPAT_", r"CCIPAT_[A-Za-z0-9]{22}_[0-9a-f]{40}"),
    ("a Buildkite token", "bkua_", r"bkua_[0-9a-f]{40}"),
    ("a Prefect key", "pnu_", r"pnu_[A-Za-z0-9]{36}"),
    ("a Contentful token", "CFPAT-", r"CFPAT-[\w-]{43}"),
    ("a Dropbox token", "sl.", r"sl\.(?:u\.)?[\w-]{130,}"),
    ("a Mapbox secret token", "sk.eyJ1", r"sk\.eyJ1[\w-]{40,}\.[\w-]{20,}"),
    ("a JFrog token", "AKCp cmVmdGtu", r"(?:AKCp[A-Za-z0-9]{69}|cmVmdGtu[A-Za-z0-9]{56})"),
    ("an age key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
)  # fmt: skip
_ASSIGNMENTS = (
    ("an AWS secret key", "ecret_access_key ECRET_ACCESS_KEY ecretAccessKey", r"(?i:secret_?access_?key)[\"']?\s*[=:]\s*[\"']?[\w/+]{40}"),
    ("a WireGuard key", "PrivateKey", r"PrivateKey\s*=\s*[A-Za-z0-9+/]{43}="),
)
"""Keys without a form of their own, known by the name before them."""


class _Form(msgspec.Struct, frozen=True):
    kind: str
    texts: tuple[bytes, ...]
    pattern: re.Pattern[bytes]


def _forms(table: tuple[tuple[str, str, str], ...]) -> tuple[_Form, ...]:
    return tuple(
        _Form(kind, tuple(texts.encode().split()), lazy_pattern(rf"{form}(?![A-Za-z0-9])".encode())) for kind, texts, form in table
    )


_TOKEN_FORMS, _ASSIGNMENT_FORMS = _forms(_TOKENS), _forms(_ASSIGNMENTS)
_LONG_WORD = lazy_pattern(rb"[A-Za-z0-9_.:/+=~-]{20,}")
_PART_OF_OTHER = lazy_pattern(rb"(?:[A-Za-z0-9_]|Credential=|AccessKeyId=)\Z")
"""The end of what makes a match part of something else: a longer word, or the public half of a signed URL."""
_START_BYTES = 8192
_BLOCK_START = b"PRIVATE KEY"
_BLOCK = lazy_pattern(
    # Headers, each up to the next one on its line. Nothing here matches in two ways, which would take for ever where no END follows.
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:\s|\\[nr]|[\"'+,]|[A-Za-z-]++: (?:(?!\s[A-Za-z-]+: |\\[nr])[^\n]){0,80}+)*+((?:[A-Za-z0-9+/=\s\"',]|\\[nr]){120,8192}?)-----END "
)
_KEY_STARTS = (b"0", b"openssh-key-v1\0", b"\x95", b"\xc5", b"\x94", b"\xc6")
"""First bytes of DER sequences, OpenSSH's keys, and OpenPGP's secret key packets."""

_PLACEHOLDER = lazy_pattern(
    rb"(.)\1{5}|example|sample|placeholder|dummy|fake|test|your|replace|change|redacted|secrettoken|qwerty|"
    rb"eby8vdm02xnocqflquwj",  # the key of Azure's storage emulator
    re.IGNORECASE,
)
_ROWS = (b"abcdefghijklmnopqrstuvwxyz", b"01234567890123456789", b"9876543210")
_ROW_LENGTH = 6
_SEQUENCES = frozenset(row[start : start + _ROW_LENGTH] for row in _ROWS for start in range(len(row) - _ROW_LENGTH + 1))
_MIN_DISTINCT = 7
"""The end of a token has more different characters than a placeholder such as ghp_abcabcabc…."""

_PUBLIC_FILE = lazy_pattern(
    r".*\.(html?|jinja2?|j2|tmpl|jsx?|mjs|cjs|tsx?|vue|svelte|css|map|dart|swift|kt|plist)|(.*/)?google-services\.json", re.IGNORECASE
)
_PUBLIC_USE = lazy_pattern(rb"firebase|authDomain|innertube|youtubei|maps?[\W_]?(?:js|api|key)|recaptcha", re.IGNORECASE)
_GOOGLE_KEY = "a Google API key"


def find_tokens(path: str, data: bytes) -> Iterator[FoundToken]:
    """Yield the tokens and private keys in a text file with this path and content. Content with a NUL byte near its start is no text."""
    if b"\0" in data[:_START_BYTES]:
        return
    for form, match in _matches(data):
        if not (_is_placeholder(match[0]) or _is_public(form, path, data)):
            yield _token(path, data, match, form.kind)
    if _BLOCK_START in data:
        yield from (_token(path, data, match, "a private key") for match in _BLOCK.finditer(data) if _is_key(match[1]))


def _matches(data: bytes) -> Iterator[tuple[_Form, re.Match[bytes]]]:
    # Tokens are long words, and most text is short ones: a search in the long words alone takes a third of the time.
    words = b"\n".join(_LONG_WORD.findall(data))
    for form in _TOKEN_FORMS:
        if any(text in words for text in form.texts):
            matches = form.pattern.finditer(data)
            yield from ((form, match) for match in matches if not _PART_OF_OTHER.search(data[max(0, match.start() - 16) : match.start()]))
    for form in _ASSIGNMENT_FORMS:
        if any(text in data for text in form.texts):
            yield from ((form, match) for match in form.pattern.finditer(data))


def _token(path: str, data: bytes, match: re.Match[bytes], kind: str) -> FoundToken:
    return FoundToken(path, data.count(b"\n", 0, match.start()) + 1, kind)


def _is_placeholder(token: bytes) -> bool:
    text = token.lower()
    rows = (text[start : start + _ROW_LENGTH] for start in range(len(text) - _ROW_LENGTH + 1))
    return len(set(text[-24:])) < _MIN_DISTINCT or _PLACEHOLDER.search(text) is not None or any(row in _SEQUENCES for row in rows)


def _is_public(form: _Form, path: str, data: bytes) -> bool:
    """Return whether a key is meant to be public: browsers and apps send Google's API keys, restricted to some sites and services."""
    return form.kind == _GOOGLE_KEY and (_PUBLIC_FILE.fullmatch(path) is not None or _PUBLIC_USE.search(data) is not None)


def _is_key(body: bytes) -> bool:
    """Return whether the text between BEGIN and END is a key, and not the dots of an example."""
    text = re.sub(rb"\\[nr]|[^A-Za-z0-9+/]", b"", body.partition(b"\n=")[0])
    try:
        key = base64.b64decode(text[: len(text) // 4 * 4], validate=True)
    except binascii.Error:
        return False
    return key.startswith(_KEY_STARTS) and len(set(key)) > 2 * _MIN_DISTINCT

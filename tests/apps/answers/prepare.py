"""Copy the sample documents to an empty volume, and write the settings that a person can edit."""

import os
import shutil
from pathlib import Path

DATA = Path(os.environ["CHATCHAT_ROOT"])

if not (DATA / "prompt_settings.yaml").exists():
    shutil.copytree(Path(__file__).parent / "documents", DATA / "documents")
    (DATA / "prompt_settings.yaml").write_text("Context: {{context}}\nQuestion: {{question}}\n")
    print("first start", flush=True)

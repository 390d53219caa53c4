from pathlib import Path

settings = dict(line.split("=", 1) for line in (Path(__file__).parent / "conf" / "bot.conf").read_text().splitlines())

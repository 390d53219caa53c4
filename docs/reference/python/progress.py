from shipwheel import Event, StageFinished, Warned, build, make_request


def report(event: Event) -> None:
    """Print each finished stage and each warning; called from several threads."""
    if isinstance(event, StageFinished):
        print(event.stage, event.summary)
    elif isinstance(event, Warned):
        print("warning:", event.message, event.hint)


build(make_request("shop", output="shop.tar", reporter=report))

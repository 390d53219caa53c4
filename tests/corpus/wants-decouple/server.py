from decouple import config
from sanic import Sanic, text

app = Sanic("ledger")
CURRENCY = config("LEDGER_CURRENCY")


@app.get("/")
async def index(request):
    return text(CURRENCY)


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8000, single_process=True)

from shipwheel.cli.declared_pages import declared_pages

SOURCE = """
@app.route('/sales', methods=['GET'])
@app.route("/login")
@app.route("/orders/<int:number>")
@app.route("/orders", methods=["POST"])
@api.get(
    "/items",
)
@api.post("/items/new")
@router.api_route("/both", methods=["GET", "POST"])
@client.tasks.task("/nothing")
def page(): ...
app.add_url_rule("/rule", view_func=page)
app.router.add_get("/aio", page)
app.router.add_route("GET", "/aio-too", page)
api.add_resource(Users, "/users")
routes = [Route("/starlette", endpoint=page)]
answer = requests.get("/elsewhere")
"""
PAGES = ("/sales", "/items", "/both", "/rule", "/aio", "/aio-too", "/users", "/starlette")


def test_finds_the_pages_without_parameters() -> None:
    assert declared_pages([SOURCE]) == PAGES


def test_a_server_of_the_model_context_protocol_has_its_own_pages() -> None:
    for text in ("from mcp.server.fastmcp import FastMCP\n", "try:\n    import fastmcp\n"):
        assert declared_pages([text, '@app.get("/list")']) == ("/list", "/mcp", "/mcp/", "/sse")
    assert declared_pages(["from mcpi.minecraft import Minecraft\n", 'open_file(path="/etc")']) == ()
    named = "import fastmcp\nit.run(transport='sse', path='/shop/sse', file_path='/no')\n"
    assert declared_pages([named])[0] == "/shop/sse"
    assert declared_pages(["import mcp\n@it.custom_route(path='/reset')\n" + "\n" * 200_000]) == ("/mcp", "/mcp/", "/sse")


def test_asks_behind_each_prefix_after_the_plain_pages() -> None:
    text = 'bp = Blueprint("x", __name__, url_prefix="/v1/")\n@bp.route("users")\n@bp.route("/")\n'
    assert declared_pages([text, 'app.include_router(other, prefix="/api/v2")']) == (
        *("/users", "/v1/users", "/v1/", "/api/v2/users", "/api/v2/"),
    )


def test_asks_for_each_page_behind_the_prefix_that_a_setting_has() -> None:
    routes = '@router.get("/config")\n@router.get("/today")\n'
    for setting in ('class S:\n    api_prefix: str = "/api/v1"\n', "API_V1_STR = '/api/v1/'\n"):
        assert declared_pages([routes, setting]) == ("/config", "/api/v1/config", "/today", "/api/v1/today")


def test_asks_for_few() -> None:
    assert len(declared_pages(["".join(f'@app.get("/{number}")\n' for number in range(100))])) == 30


def test_asks_for_no_page_that_ends_the_server_or_undoes_something() -> None:
    unsafe = ("/shutdown", "/api/shut-down", "/users/delete_all", "/Logout", "/reset")
    safe = ("/backdrop", "/existing", "/shoppingcart")
    assert declared_pages(["".join(f'@app.get("{path}")\n' for path in (*unsafe, *safe))]) == safe

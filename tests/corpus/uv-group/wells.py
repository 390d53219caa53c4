import falcon


class Level:
    def on_get(self, request, response):
        response.media = {"metres": 3.4}


app = falcon.App()
app.add_route("/", Level())

import sqlite3

import falcon


class Words:
    def on_get(self, request, response):
        with sqlite3.connect("/tmp/words.db") as connection:
            response.media = [row[0] for row in connection.execute("SELECT text FROM word")]


app = falcon.App()
app.add_route("/", Words())

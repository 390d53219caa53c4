import cherrypy


class Shelf:
    @cherrypy.expose
    def index(self) -> str:
        return "books"


if __name__ == "__main__":
    cherrypy.quickstart(Shelf())

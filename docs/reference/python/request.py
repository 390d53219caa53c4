from shipwheel import make_request

request = make_request("shop", tag="registry.example/team/shop:1.0", platforms=["linux/amd64"])
print(request.settings.tag, *request.platforms)

from shipwheel import make_request, plan

found = plan(make_request("shop"))
print(" ".join(found.command), "because", found.command_reason)
for platform in found.platforms:
    print(platform.platform, platform.python, len(platform.distributions), "packages,", platform.wheel_bytes, "bytes")

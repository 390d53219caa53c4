from shipwheel import lock, make_request

locked = lock(make_request("shop"), upgrade_packages=["small"])
changed = locked.lock is not locked.before
print(locked.lock.path.name, "was written" if changed else "is current")

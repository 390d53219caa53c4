import sys

from shipwheel import ShipwheelError, build, make_request
from shipwheel.errors import LockError

try:
    build(make_request("shop", packages=["no-such-package"]))
except LockError as error:
    sys.exit(f"the requirements cannot be locked: {error.message}")
except ShipwheelError as error:
    print(f"exit code {error.exit_code}: {error.message}\n{error.hint}")

"""Writes gateway.toml for a fleet: one [[point]] for each heater.

python make_gateway.py 20 > gateway.toml
"""

import sys

HEAD = """\
# Water heaters behind a broker. Written by make_gateway.py.

[[ven]]
ven_id = "gw_1"
vtn_url = "http://127.0.0.1:8080"
interval = "2s"
"""
POINT = """
[[point]]
name = "heater {number}"
driver = "mqtt"
host = "127.0.0.1"
port = 1883
topic = "heaters/{number}/set"
state_topic = "heaters/{number}/state"
json_path = "power"
payload_on = "ON"
payload_off = "OFF"
availability_topic = "heaters/status"
levels = {{ 0 = 1, 1 = 1, 2 = 0, 3 = 0 }}
# Not all at once when the event is over: the tanks are cold by then.
return_within = "20s"
max_control = "4h"
failsafe = {{ after = "15m", action = "release" }}
"""

print(HEAD + "".join(POINT.format(number=number) for number in range(int(sys.argv[1]))), end="")

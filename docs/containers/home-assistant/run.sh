#!/bin/sh
# Without a site.yaml the set-up is asked in a browser; its address and code stand in the add-on's log.
set -eu
[ -s /config/site.yaml ] || python -I -m sitewatt edge setup --config /config/site.yaml --state-dir /data --browser 0.0.0.0:8443
exec python -I -m edge run --config /config/site.yaml

#!/bin/sh
# Installs the real servers that tests run against, where that can be done unasked: as root with apt-get. Elsewhere
# the tests that want them are skipped, or fail when OADR2_REQUIRE_<SERVER>=1; so this never fails itself.
#   tools/install_servers.sh prosody nginx ...
for server in "$@"; do
    case $server in
        nginx) package="nginx-light" ;;
        *) package=$server ;;
    esac
    # Debian keeps daemons where the path of an ordinary user does not lead.
    PATH=$PATH:/usr/sbin command -v "$server" >/dev/null && continue
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "$server is missing, so the tests with it are skipped (Debian: apt install $package)"
        continue
    fi
    echo "installing $server"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        $package >/dev/null || echo "apt-get cannot install $server, so the tests with it are skipped"
done
exit 0

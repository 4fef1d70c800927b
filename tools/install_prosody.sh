#!/bin/sh
# Installs Prosody for the tests of XMPP where that can be done unasked, as root with apt-get. Elsewhere those tests
# are skipped, or fail when OADR2_REQUIRE_PROSODY=1; so this never fails itself.
command -v prosody >/dev/null && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Prosody is missing, so the tests of XMPP are skipped (Debian: apt install prosody)"
    exit 0
fi
echo "installing Prosody"
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prosody >/dev/null ||
    echo "apt-get cannot install Prosody, so the tests of XMPP are skipped"

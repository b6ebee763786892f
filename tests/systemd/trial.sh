#!/bin/sh
# Runs as root inside the virtual machine of `cargo xtask systemd`, once a boot. Every check prints one line that the
# task counts; the task cuts the power where a line says so.
set -u

check() { # name command...
    name=$1; shift
    if "$@" >/tmp/check.log 2>&1; then
        echo "CHECK ok: $name"
    else
        echo "CHECK FAILED: $name (exit $?)"
        sed 's/^/    /' /tmp/check.log
    fi
}

ends_with() { # code command...
    code=$1; shift
    "$@"
    got=$?
    echo "exit code $got"
    [ $got -eq "$code" ]
}

version() { # component: its version on the bus
    scomoctl --json show "$1" | tr -d ' \n' | sed -n 's/.*"version":"\([^"]*\)".*/\1/p'
}

unit_of() { # component: the unit that it runs in
    systemctl list-units --no-legend --plain --state=active 'scomo-*' | awk -v id="$1" 'index($1, id) { print $1 }'
}

main_pid() {
    systemctl show --property MainPID --value "$(unit_of "$1")"
}

runs_version() { # component version
    [ -n "$(unit_of "$1")" ] && scomoctl logs "$1" | grep -q "version $2"
}

until_true() { # seconds command...
    left=$1; shift
    while ! "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 1
    done
}

journal_has() { # message-id field=value...: an entry of scomod
    id=$1; shift
    journalctl --unit scomod --output cat "MESSAGE_ID=$id" "$@" | grep .
}

idle() { # no job is under way
    ! scomoctl jobs | grep -q '[0-9]'
}

first_boot() {
    check "scomod is a service" systemctl is-active scomod
    check "the store is on the bus" busctl --system tree org.scomo1
    check "install v1" scomoctl install oci:/srv/packages/v1
    check "v1 runs in a unit of its own" runs_version web 1
    check "the unit has its own control group" sh -c "systemctl show --property ControlGroup --value '$(unit_of web)' | grep scomo"
    before=$(main_pid web)
    check "restart the daemon" systemctl restart scomod
    check "the container did not notice" [ "$before" = "$(main_pid web)" ]
    check "update to v2" scomoctl install oci:/srv/packages/v2
    check "v2 runs" runs_version web 2
    check "an unhealthy v3 is rolled back" ends_with 13 scomoctl install oci:/srv/packages/v3
    check "v2 runs again" runs_version web 2
    check "the journal knows who asked for what" journal_has 735a5f1c533d2d5e3b8e3d5d1cdab953 SCOMO_JOB=1 SCOMO_USER=root
    check "the journal knows what was reversed" journal_has dbb62144ddc73ba8857d75c0100e3dc2 SCOMO_JOB=3 SCOMO_RESULT_CODE=1450
    journalctl --update-catalog
    check "the journal explains it" sh -c "journalctl -x MESSAGE_ID=dbb62144ddc73ba8857d75c0100e3dc2 | grep 'Job 3 was reversed'"
    kill -9 "$(main_pid web)"
    check "systemd starts a killed container again" until_true 30 runs_version web 2
    check "others may read" setpriv --reuid nobody --clear-groups scomoctl status
    check "others may not change" ends_with 5 setpriv --reuid nobody --clear-groups scomoctl rollback
    sync
    echo "CUT THE POWER: while an update runs"
    scomoctl install oci:/srv/packages/v4
    sleep 60
}

second_boot() {
    check "scomod is a service" systemctl is-active scomod
    check "the update that was cut ends" until_true 60 idle
    scomoctl history
    found=$(version web)
    check "the version is old or new: '$found'" [ "$found" = 2 -o "$found" = 4 ]
    check "and it runs" until_true 30 runs_version web "$found"
    check "deactivate" scomoctl deactivate web
    check "no unit is left" [ -z "$(unit_of web)" ]
    check "remove" scomoctl remove --component web
    echo "THE END"
}

boot=$(cat /var/lib/trial-boots 2>/dev/null || echo 0)
echo $((boot + 1)) > /var/lib/trial-boots
until_true 30 systemctl is-active --quiet scomod
case $boot in
    0) first_boot ;;
    *) second_boot ;;
esac
systemctl poweroff --no-block

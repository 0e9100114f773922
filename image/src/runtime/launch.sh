# Finds out what the image says of the environment, then becomes what was asked for.
#
# The caller's variables come as COOPERAGE_HOST_name and those it gives the container as
# COOPERAGE_SET_name, so that the image's scripts see neither; the names are in
# COOPERAGE_HOST_NAMES and COOPERAGE_SET_NAMES.

cooperage_set() {
    unset IFS
    for cooperage_name in ${COOPERAGE_SET_NAMES:-}; do
        eval "cooperage_value=\$COOPERAGE_SET_$cooperage_name"
        eval "export $cooperage_name=\"$cooperage_value\""
        unset "COOPERAGE_SET_$cooperage_name"
    done
    unset COOPERAGE_SET_NAMES
}

cooperage_restore() {
    unset IFS
    for cooperage_name in ${COOPERAGE_HOST_NAMES:-}; do
        eval "[ -n \"\${$cooperage_name+x}\" ] ||
            export $cooperage_name=\"\$COOPERAGE_HOST_$cooperage_name\""
        unset "COOPERAGE_HOST_$cooperage_name"
    done
    unset COOPERAGE_HOST_NAMES
}

cooperage_add_missing_folders() {
    for cooperage_folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        case ":$PATH:" in
            *":$cooperage_folder:"*) ;;
            *) PATH="$PATH:$cooperage_folder" ;;
        esac
    done
}

cooperage_choose_path() {
    if [ -n "${SING_USER_DEFINED_PREPEND_PATH:-}" ]; then
        PATH="$SING_USER_DEFINED_PREPEND_PATH:$PATH"
    fi
    if [ -n "${SING_USER_DEFINED_APPEND_PATH:-}" ]; then
        PATH="$PATH:$SING_USER_DEFINED_APPEND_PATH"
    fi
    if [ -n "${SING_USER_DEFINED_PATH:-}" ]; then
        PATH="$SING_USER_DEFINED_PATH"
    fi
    unset SING_USER_DEFINED_PREPEND_PATH SING_USER_DEFINED_APPEND_PATH SING_USER_DEFINED_PATH
    export PATH
}

cooperage_say() {
    echo "cooperage: $*" >&2
}

# This shell is none of the caller's.
unset SHLVL
if [ -d /.singularity.d/env ]; then
    for cooperage_script in /.singularity.d/env/*.sh; do
        if [ -f "$cooperage_script" ]; then
            . "$cooperage_script"
        fi
        case $cooperage_script in
            */10-docker*.sh) cooperage_add_missing_folders ;;
            */99-base.sh) cooperage_set ;;
        esac
    done
elif [ -f /environment ]; then
    . /environment
fi
cooperage_set
cooperage_choose_path
cooperage_restore
PS1=${PS1:-Singularity> }
PROMPT_COMMAND="PS1=\"$PS1\"; unset PROMPT_COMMAND"
export PS1 PROMPT_COMMAND

cooperage_action=$COOPERAGE_ACTION
cooperage_app=${SINGULARITY_APPNAME:-}
cooperage_shell=${COOPERAGE_SHELL:-}
unset COOPERAGE_ACTION COOPERAGE_SHELL
unset cooperage_name cooperage_value cooperage_folder cooperage_script

case $cooperage_action in
    run | test)
        if [ "$cooperage_action" = run ]; then
            cooperage_file=runscript
        else
            cooperage_file=test
        fi
        if [ -n "$cooperage_app" ]; then
            if [ -x "/scif/apps/$cooperage_app/scif/$cooperage_file" ]; then
                exec "/scif/apps/$cooperage_app/scif/$cooperage_file" "$@"
            fi
            cooperage_say "app $cooperage_app has no $cooperage_file"
            exit 1
        fi
        if [ -x "/.singularity.d/$cooperage_file" ]; then
            exec "/.singularity.d/$cooperage_file" "$@"
        fi
        if [ "$cooperage_action" = test ]; then
            exit 0
        fi
        if [ -x /singularity ]; then
            exec /singularity "$@"
        fi
        cooperage_say 'the image has no runscript, running /bin/sh'
        exec /bin/sh "$@"
        ;;
    shell)
        if [ -n "$cooperage_shell" ]; then
            SHELL=$cooperage_shell
            export SHELL
            set -- "$cooperage_shell" "$@"
        else
            if [ -x /bin/bash ]; then
                PS1="Singularity $SINGULARITY_NAME:\\w> "
                PROMPT_COMMAND="PS1=\"$PS1\"; unset PROMPT_COMMAND"
                SHELL=/bin/bash
                export SHELL
                exec /bin/bash --norc "$@"
            fi
            PS1="Singularity $SINGULARITY_NAME> "
            SHELL=/bin/sh
            export SHELL
            exec /bin/sh "$@"
        fi
        ;;
esac

case $1 in
    */*)
        if [ ! -e "$1" ]; then
            cooperage_say "the image has no $1"
            exit 127
        elif [ -d "$1" ]; then
            cooperage_say "$1 is a folder and no program"
            exit 126
        elif [ ! -x "$1" ]; then
            cooperage_say "$1 may not be executed"
            exit 126
        fi
        ;;
    *)
        if ! command -v -- "$1" >/dev/null 2>&1; then
            cooperage_say "the image has no program $1 in its PATH ($PATH)"
            exit 127
        fi
        ;;
esac
exec "$@"

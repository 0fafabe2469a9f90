# /opt/miniconda3/bin/activate: what SWE-bench's eval scripts need of conda, over plain virtual
# environments. To be sourced by bash, also under `set -eu`:
#
#     source /opt/miniconda3/bin/activate
#     conda activate testbed
#
# Environments are directories below /opt/miniconda3/envs; `base` is /opt/miniconda3 itself.

conda() {
    local root=/opt/miniconda3 prefix
    case "${1-}" in
    activate)
        case "${2-base}" in
        base) prefix=$root ;;
        /*) prefix=$2 ;;
        *) prefix=$root/envs/$2 ;;
        esac
        if [ ! -d "$prefix/bin" ]; then
            echo "EnvironmentNameNotFound: Could not find conda environment: ${2-base}" >&2
            return 1
        fi
        # Eval scripts activate twice; the environment must not pile up in PATH.
        conda deactivate
        export PATH="$prefix/bin:$PATH"
        export CONDA_PREFIX="$prefix"
        export CONDA_DEFAULT_ENV="${2-base}"
        if [ -f "$prefix/pyvenv.cfg" ]; then
            export VIRTUAL_ENV="$prefix"
        fi
        unset PYTHONHOME
        ;;
    deactivate)
        if [ -n "${CONDA_PREFIX-}" ]; then
            case "$PATH" in
            "$CONDA_PREFIX/bin:"*) export PATH="${PATH#"$CONDA_PREFIX/bin:"}" ;;
            esac
        fi
        unset CONDA_PREFIX CONDA_DEFAULT_ENV VIRTUAL_ENV
        ;;
    *)
        echo "conda: this image knows only 'conda activate' and 'conda deactivate'" >&2
        return 2
        ;;
    esac
    hash -r
}

# bash completion for recd: commands, their options, models and stored names.
_recd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local recd=${COMP_WORDS[0]} command='' model='' store=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --store) store=(--store "${COMP_WORDS[++i]}") ;;
        --model) model=${COMP_WORDS[++i]} ;;
        --threads|--seed|--device) ((i++)) ;;
        -*) ;;
        *) [ -n "$command" ] || command=${COMP_WORDS[i]} ;;
        esac
    done
    case $prev in
    --store) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    --model) COMPREPLY=($(compgen -W "$("$recd" list models 2>/dev/null | cut -d' ' -f1)" -- "$cur")); return ;;
    --partition) COMPREPLY=($(compgen -W "$("$recd" list partitions 2>/dev/null | cut -d' ' -f1)" -- "$cur")); return ;;
    --aggregate) COMPREPLY=($(compgen -W "$("$recd" list aggregates 2>/dev/null | cut -d' ' -f1)" -- "$cur")); return ;;
    --name) COMPREPLY=($(compgen -W "$("$recd" "${store[@]}" info --json 2>/dev/null | tr '{,' '\n\n' | sed -n 's/.*"name": "\([^"]*\)".*/\1/p')" -- "$cur")); return ;;
    --device) COMPREPLY=($(compgen -W "cpu cuda" -- "$cur")); return ;;
    --format) COMPREPLY=($(compgen -W "auto csv tsv ml-100k ml-1m adjacency recbole sequences text json" -- "$cur")); return ;;
    esac
    if [ -z "$command" ]; then
        case $cur in
        -*) COMPREPLY=($(compgen -W "--store --threads --seed --device --quiet --verbose --json --help --version" -- "$cur")) ;;
        *) COMPREPLY=($(compgen -W "$("$recd" help 2>/dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$cur")) ;;
        esac
        return
    fi
    case $command,$cur in
    *,-*) COMPREPLY=($(compgen -W "$("$recd" help "$command" ${model:+--model "$model"} 2>/dev/null | grep -o -- '--[a-z-]*' | sort -u)" -- "$cur")) ;;
    list,*) COMPREPLY=($(compgen -W "models partitions aggregates" -- "$cur")) ;;
    help,*) COMPREPLY=($(compgen -W "$("$recd" help 2>/dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$cur")) ;;
    certificate,*) COMPREPLY=($(compgen -W "list show export key" -- "$cur")) ;;
    forget,*) COMPREPLY=($(compgen -W "user interaction item" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -f -- "$cur")) ;;
    esac
}
complete -F _recd recd

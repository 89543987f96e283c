# Sourced by scripts before they do anything: --help prints the comment on top of the script, a flag that it does not know
# or a word too many ends it with 2. `flags` are those that it knows, `words_max` is how many words it takes.
words=0
for word in "$@"; do
  case $word in
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    -*)
      case " ${flags:-} " in
        *" $word "*) ;;
        *) echo "$0: unknown flag $word, see $0 --help" >&2 && exit 2 ;;
      esac
      ;;
    *) words=$((words + 1)) ;;
  esac
done
if [ "$words" -gt "${words_max:-0}" ]; then
  echo "$0: $words words where at most ${words_max:-0} are wanted, see $0 --help" >&2
  exit 2
fi
unset word words flags words_max

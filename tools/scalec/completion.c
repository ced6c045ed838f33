/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for bash, zsh and fish, made of the table of options. */
#include "tools/scalec/options.h"

#include <string.h>

static bool takes_file(const CliOption *o)
{
    static const char *const args[] = {"FILE", "PATH", "OUT", "NAME=FILE", "R"};
    for (size_t i = 0; o->arg && i < sizeof args / sizeof *args; i++)
        if (!strcmp(o->arg, args[i]))
            return true;
    return false;
}

static void print_commands(void)
{
    for (uint32_t i = 0; i < cli_n_commands; i++)
        printf("%s ", cli_commands[i].name);
}

/* Text between single quotes, in which `special` and, for fish, the backslash get a backslash. */
static void quoted(const char *text, const char *special, bool fish)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs(fish ? "\\'" : "'\\''", stdout);
        else
            printf(strchr(special, *text) ? "\\%c" : "%c", *text);
}

/* --- bash ------------------------------------------------------------------------------------- */

void cli_bash_completion(void)
{
    puts("# bash completion for scalec\n_scalec()\n{\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "    # bash makes --emit=obj three words\n"
         "    [ \"$before\" = = ] && before=${COMP_WORDS[COMP_CWORD - 2]}\n"
         "    [ \"$word\" = = ] && word=\n"
         "    COMPREPLY=()\n"
         "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    printf("        COMPREPLY=($(compgen -W \"");
    print_commands();
    puts("help\" -- \"$word\"))\n        return\n    fi\n    case $before in");
    for (uint32_t i = 0; i < cli_n_options; i++) {
        const CliOption *o = &cli_options[i];
        if (!o->doc || !o->arg)
            continue;
        printf("    ");
        if (o->letter)
            printf("-%c | ", o->letter);
        printf("--%s) ", o->name);
        const char *words = o->choice ? o->choice : o->hint;
        if (words)
            printf("COMPREPLY=($(compgen -W \"%s\" -- \"$word\")); ", words);
        if (takes_file(o))
            printf("COMPREPLY+=($(compgen -f -- \"$word\")); ");
        puts("return ;;");
    }
    puts("    esac\n    case ${COMP_WORDS[1]}:$word in");
    for (uint32_t k = 0; k < cli_n_commands; k++) {
        printf("    %s:-*) COMPREPLY=($(compgen -W \"", cli_commands[k].name);
        for (uint32_t i = 0; i < cli_n_options; i++)
            if (cli_options[i].doc && (cli_options[i].who & cli_commands[k].bit))
                printf("--%s ", cli_options[i].name);
        puts("\" -- \"$word\")) ;;");
    }
    printf("    help:*) COMPREPLY=($(compgen -W \"");
    print_commands();
    puts("\" -- \"$word\")) ;;\n"
         "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\n"
         "complete -o filenames -F _scalec scalec");
}

/* --- zsh -------------------------------------------------------------------------------------- */

static void zsh_option(const CliOption *o)
{
    const char *words = o->choice ? o->choice : o->hint;
    if (o->letter)
        printf("            '*'{-%c%s,--%s%s}'[", o->letter, o->arg ? "+" : "", o->name,
               o->arg ? "=" : "");
    else
        printf("            '*--%s%s[", o->name, o->arg ? "=" : "");
    quoted(o->doc, "[]:\\", false);
    putchar(']');
    if (o->arg) {
        putchar(':');
        quoted(o->arg, "[]:\\", false);
        putchar(':');
        if (words && takes_file(o)) /* a word, or any file */
            printf("{compadd %s; _files}", words);
        else if (words)
            printf("(%s)", words);
        else if (takes_file(o))
            printf("_files");
    }
    puts("'");
}

void cli_zsh_completion(void)
{
    puts("#compdef scalec\n_scalec()\n{\n    local -a commands options\n    commands=(");
    for (uint32_t i = 0; i < cli_n_commands; i++) {
        printf("        '%s:", cli_commands[i].name);
        quoted(cli_commands[i].doc, ":\\", false);
        puts("'");
    }
    puts("        'help:what a command does'\n    )\n"
         "    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n"
         "    fi\n    case $words[2] in");
    for (uint32_t k = 0; k < cli_n_commands; k++) {
        printf("    %s)\n        options=(\n", cli_commands[k].name);
        for (uint32_t i = 0; i < cli_n_options; i++)
            if (cli_options[i].doc && (cli_options[i].who & cli_commands[k].bit))
                zsh_option(&cli_options[i]);
        puts("        ) ;;");
    }
    puts("    help)\n        _describe command commands\n        return ;;\n    esac\n"
         "    shift words\n    (( CURRENT-- ))\n"
         "    _arguments -s $options '*:file:_files'\n}\n"
         "if [ \"$funcstack[1]\" = _scalec ]; then\n    _scalec \"$@\"\nelse\n"
         "    compdef _scalec scalec\nfi");
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_option(const char *command, const CliOption *o)
{
    const char *words = o->choice ? o->choice : o->hint;
    printf("complete -c scalec -n '__fish_seen_subcommand_from %s' -l %s", command, o->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    if (o->arg)
        printf(" %s", takes_file(o) ? "-r -F" : "-x");
    if (words)
        printf(" -a '%s'", words);
    printf(" -d '");
    quoted(o->doc, "\\", true);
    puts("'");
}

void cli_fish_completion(void)
{
    puts("# fish completion for scalec");
    for (uint32_t k = 0; k < cli_n_commands; k++) {
        const CliCommand *c = &cli_commands[k];
        printf("complete -c scalec -n __fish_use_subcommand -f -a %s -d '", c->name);
        quoted(c->doc, "\\", true);
        puts("'");
        printf("complete -c scalec -n '__fish_seen_subcommand_from help' -f -a %s\n", c->name);
        for (uint32_t i = 0; i < cli_n_options; i++)
            if (cli_options[i].doc && (cli_options[i].who & c->bit))
                fish_option(c->name, &cli_options[i]);
    }
    puts("complete -c scalec -n __fish_use_subcommand -f -a help -d 'what a command does'");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the table of options says of itself: help on a terminal and the man page. */
#include "tools/scalec/options.h"

#include <string.h>

enum { WIDTH = 96, LEFT = 28 };

/* text in lines of at most WIDTH columns; all but the first begin at column `left`. */
static void wrapped(const char *text, int left)
{
    int column = left;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column > left && column + 1 + n > WIDTH) {
            printf("\n%*s", left, "");
            column = left;
        } else if (column > left) {
            putchar(' ');
            column++;
        }
        printf("%.*s", n, text);
        column += n;
        text += n;
        text += *text == ' ';
    }
    putchar('\n');
}

void cli_usage(FILE *f)
{
    fprintf(f, "usage: scalec COMMAND [OPTION]...\n\n");
    for (uint32_t i = 0; i < cli_n_commands; i++)
        fprintf(f, "  %-8s  %s\n", cli_commands[i].name, cli_commands[i].doc);
    fprintf(f,
            "\nscalec COMMAND --help says more. MODEL is an ONNX file or a text graph, - is "
            "standard input."
            "\nExit status: 0 done, 1 the input is at fault, 2 usage, 3 results differ, 70 a bug "
            "of scalec.\n");
}

void cli_command_help(const CliCommand *c)
{
    printf("usage: scalec %s %s%s[OPTION]...\n", c->name, c->args, *c->args ? " " : "");
    wrapped(c->doc, 0);
    putchar('\n');
    for (uint32_t i = 0; i < cli_n_options; i++) {
        const CliOption *o = &cli_options[i];
        char left[64];
        if (!o->doc || !(o->who & c->bit))
            continue;
        int n = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ',
                         o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
                         o->arg ? " " : "", o->arg ? o->arg : "");
        printf("%-*s", LEFT, left);
        if (n >= LEFT)
            printf("\n%*s", LEFT, "");
        wrapped(o->doc, LEFT);
    }
    if (c->example)
        printf("\nexample: %s\n", c->example);
}

/* --- Man pages -------------------------------------------------------------------------------- */

/* Text for troff: a dash is a minus, a line does not begin with a dot. */
static void roff(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (; *text; text++)
        if (*text == '-' || *text == '\\')
            printf("\\%c", *text == '\\' ? 'e' : '-');
        else
            putchar(*text);
}

static void man_option(const CliOption *o)
{
    puts(".TP");
    printf(".B ");
    if (o->letter)
        printf("\\-%c, ", o->letter);
    printf("\\-\\-");
    roff(o->name);
    if (o->arg)
        printf(" \\fI%s\\fP", o->arg);
    putchar('\n');
    roff(o->doc);
    putchar('\n');
}

static void man_command(const CliCommand *c)
{
    printf(".SS scalec %s %s\n", c->name, c->args);
    roff(c->doc);
    puts(".");
    for (uint32_t i = 0; i < cli_n_options; i++)
        if (cli_options[i].doc && (cli_options[i].who & c->bit))
            man_option(&cli_options[i]);
    if (c->example) {
        puts(".PP\nExample:\n.RS\n.nf");
        roff(c->example);
        puts("\n.fi\n.RE");
    }
}

void cli_man_page(void)
{
    puts(
        ".TH SCALEC 1 \"\" \"scalec " SCALEC_VERSION "\" \"User Commands\"\n"
        ".SH NAME\nscalec \\- compile ONNX models, small and fast, to native programs\n"
        ".SH SYNOPSIS\n.B scalec\n\\fICOMMAND\\fP [\\fIOPTION\\fP]...\n"
        ".SH DESCRIPTION\nMODEL is an ONNX file or a text graph; \\- is standard input or output.\n"
        ".SH COMMANDS");
    for (uint32_t i = 0; i < cli_n_commands; i++)
        man_command(&cli_commands[i]);
    puts(".SH EXIT STATUS\n0 done, 1 the input is at fault, 2 usage, 3 results differ, 70 a bug of "
         "scalec.\n"
         ".SH ENVIRONMENT\n.TP\n.B SCALEC_LIBDIR\nthe folder of libscrt.a and libscrtio.a");
}

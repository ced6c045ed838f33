/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands and options: what parses, explains itself, and is made into man pages and
 * shell completion. */
#ifndef SC_CLI_OPTIONS_H
#define SC_CLI_OPTIONS_H

#include "tools/scalec/cli.h"

typedef struct CliCommand {
    const char *name, *args, *doc;
    uint32_t bit, min_args, max_args;
    const char *example;
} CliCommand;
extern const CliCommand cli_commands[];
extern const uint32_t cli_n_commands;

typedef struct CliOption {
    const char *name, *arg, *doc; /* arg NULL: takes none; doc NULL: not shown */
    char letter;
    uint32_t who;       /* bits of the commands that take it */
    const char *choice; /* the words that it may be, separated by spaces; NULL: any text */
    const char *hint;   /* words that it may be among others */
} CliOption;
extern const CliOption cli_options[];
extern const uint32_t cli_n_options;

const CliCommand *cli_find_command(const char *name);
/* Of the names, the one that word is a slip of; NULL where none is near. */
const char *cli_nearest(const char *word, const char *(*name)(uint32_t i), uint32_t n);

void cli_command_help(const CliCommand *c);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What a command is doing: shown on a terminal once it takes long, and how long each stage took. */
#ifndef SC_CLI_WATCH_H
#define SC_CLI_WATCH_H

#include "ir/base/base.h"

typedef struct CliWatch CliWatch;

/* Watches the session's stages from here on. Only where standard error is a terminal is anything
 * drawn, and never outside a stage: a stage's end leaves the line empty, so that whoever prints
 * need not know. */
CliWatch *cli_watch_begin(ScCtx *cx, const char *command);
/* The graph that a stage left, for the table. */
void cli_watch_nodes(CliWatch *w, const char *stage, uint32_t nodes);
/* Draws no more and forgets the session, which may end now. */
void cli_watch_stop(CliWatch *w);
/* The same, and the time from here to cli_watch_print is charged to a stage: whoever works from
 * here on prints at will. */
void cli_watch_hand_over(CliWatch *w, const char *stage);
/* On standard error: each stage, what lay between them, and the whole since cli_watch_begin. */
void cli_watch_print(CliWatch *w);
void cli_watch_free(CliWatch *w);
double cli_now(void); /* seconds, of a clock that is never set */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What printer, parser and comparison share: the order in which a graph is written, the spelling of
 * names and numbers. */
#ifndef SC_TEXT_PRIV_H
#define SC_TEXT_PRIV_H

#include "ir/op.h"

#include <locale.h>

#define SC_TEXT_DEPTH 32 /* graphs nested in graphs; more is refused */

/* Node indices in the order of the text: inputs, states, then the others as they stand. [n_node] in
 * a; every node exactly once, even in a graph that is not well formed. *ret_n_header is how many of
 * them the header and the state lines define. */
const uint32_t *sc_text_order(const ScGraph *g, ScArena *a, uint32_t *ret_n_header);

/* The flags that a text without an explicit list has. outer: those of the graph around it, or 0.
 * scaled: whether a nonzero exponent is written in it. */
uint32_t sc_text_flags(const ScGraph *g, uint32_t outer, bool scaled);
/* True where some value of g has an exponent other than 0. */
bool sc_text_has_exponents(const ScGraph *g);

extern const char *const sc_text_phase[3];     /* by ScPhase */
extern const char *const sc_text_flag_name[3]; /* by bit of SC_G_ */

/* Name of origin i as the text has it, or NULL where an origin before it has the same: two nodes
 * that share a name are one in the text. */
const char *sc_text_origin(const ScLoc *l, uint32_t i);

bool sc_text_bare(const char *s); /* letters, digits, '_' and '.', at least one */
bool sc_text_all_digits(const char *s);
void sc_text_name(ScStr *out, const char *s);   /* bare where it can be, else quoted */
void sc_text_quoted(ScStr *out, const char *s); /* always quoted */

/* A number as short as reads back to the same double: "0.1", "0.01f" where x is a float whose own
 * decimal is shorter, "inf", "-inf", "nan". */
void sc_text_double(ScStr *out, double x);
/* Element i of an array: a number that reads back to the same bits, else the bits as 0x...; a
 * string in quotes. */
void sc_text_element(ScStr *out, ScrtDtype t, const void *data, size_t i);
/* Reads one such number into data and moves *p past it; false with *p unchanged where there is
 * none. */
bool sc_text_read_element(const char **p, ScrtDtype t, void *data, size_t i);
/* Reads what sc_text_double writes. */
bool sc_text_read_double(const char **p, double *ret);
/* Reads a decimal integer with sign; false where there is none or it does not fit. */
bool sc_text_read_int(const char **p, int64_t *ret);

/* Numbers are written and read in the "C" locale, whatever the program around us has set. */
locale_t sc_text_locale_begin(locale_t *ret_old);
void sc_text_locale_end(locale_t c, locale_t old);

#endif

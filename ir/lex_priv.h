/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the text form: a cursor that knows its line and reports what it wanted. Text is
 * hostile: nothing here looks past the terminating NUL, recurses or trusts a length. */
#ifndef SC_LEX_PRIV_H
#define SC_LEX_PRIV_H

#include "ir/ir.h"

typedef struct ScLex {
    ScCtx *cx;
    const char *file;    /* or NULL */
    const char *p;       /* what comes next */
    const char *counted; /* line is that of this place */
    uint32_t line;
    bool failed; /* an error was reported: nothing more is read */
} ScLex;

void sc_lex_begin(ScLex *l, ScCtx *cx, const char *file, const char *text);
/* Where the cursor is, as a location without origins. */
const ScLoc *sc_lex_loc(ScLex *l);
/* Reports SC_E_TEXT "expected WHAT, found ..." once; returns false. */
bool sc_lex_expected(ScLex *l, const char *what);

/* Skips blanks and a comment; sc_lex_lines skips line ends too. */
void sc_lex_blanks(ScLex *l);
void sc_lex_lines(ScLex *l);

/* After blanks: true and past it where the token comes next. A token of letters must end there. */
bool sc_lex_accept(ScLex *l, const char *token);
bool sc_lex_need(ScLex *l, const char *token);
/* After blanks: whether character c comes next, which is not consumed. */
bool sc_lex_next_is(ScLex *l, char c);
/* The line ends here: a line end or a comment, or the text does, or '}' closes. */
bool sc_lex_end_of_line(ScLex *l);

/* A bare word or a quoted string, interned; NULL with an error "expected WHAT". *ret_quoted (may be
 * NULL) tells them apart. */
const char *sc_lex_name(ScLex *l, const char *what, bool *ret_quoted);
const char *sc_lex_quoted(ScLex *l, const char *what);
/* A quoted string of any bytes, added to ret. */
bool sc_lex_string(ScLex *l, ScStr *ret);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The parser in two halves: parse.c reads graphs and lines, parse_data.c what stands on a line:
 * types, exponents, constants, attributes. Each rule answers false (or NULL) after an error was
 * reported. */
#ifndef SC_PARSE_PRIV_H
#define SC_PARSE_PRIV_H

#include "ir/lex_priv.h"
#include "ir/op.h"

typedef struct ScParse {
    ScLex l;
    ScCtx *cx;
    ScArena *a; /* scratch of the whole parse */
    const ScBlobSource *src;
    uint32_t depth; /* of nested graphs */
} ScParse;

/* The elements of a constant as they were found; their type may come only later on the line. */
typedef struct ScLiteral {
    const char *name; /* @name, or NULL: elements */
    ScLex at;         /* of the first character */
    const ScType *as; /* the type after `as`, or NULL */
} ScLiteral;

const ScType *sc_parse_type(ScParse *p);
/* " * 2^e"; ret is NULL where it is not there. */
bool sc_parse_exp(ScParse *p, const ScTerm **ret);
const ScTerm *sc_parse_term(ScParse *p);
bool sc_parse_literal(ScParse *p, ScLiteral *ret);
/* The blob that a literal means where the value has type t. */
const ScBlob *sc_parse_blob(ScParse *p, const ScLiteral *lit, const ScType *t);
/* One attribute's value. bare: a list of one stands without brackets. */
bool sc_parse_attr(ScParse *p, ScAttrKind kind, bool bare, ScAttr *ret);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The floor that every other part of the compiler stands on: the session, arenas, interned strings,
 * terms and diagnostics. */
#ifndef SC_BASE_H
#define SC_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* --- Memory ---------------------------------------------------------------------------------- */

/* When memory ends the hook is called with how many bytes were wanted, and must not return: it ends
 * the process or jumps (the default prints nothing and aborts). NULL: the default. */
void sc_set_memory_hook(void (*out_of_memory)(size_t bytes));
_Noreturn void sc_out_of_memory(size_t bytes); /* calls it */
/* As the C library's, but for the hook; freed with free. */
void *sc_calloc(size_t n, size_t size);
void *sc_realloc(void *p, size_t bytes);

/* A bump allocator; everything in it lives until it is freed. */
typedef struct ScArena ScArena;
ScArena *sc_arena_new(void);
void sc_arena_free(ScArena *a);                          /* takes NULL */
void *sc_alloc(ScArena *a, size_t bytes);                /* zeroed, aligned to 16 */
void *sc_alloc_array(ScArena *a, size_t n, size_t size); /* n * size with overflow check */
void *sc_memdup(ScArena *a, const void *p, size_t bytes);
char *sc_strdup(ScArena *a, const char *s);
char *sc_printf(ScArena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t sc_arena_bytes(const ScArena *a); /* handed out so far */
#define sc_new(a, T)      ((T *)sc_alloc((a), sizeof(T)))
#define sc_array(a, T, n) ((T *)sc_alloc_array((a), (n), sizeof(T)))

/* A growing array in plain memory: the last element is p[n - 1]. Freed with sc_buf_free(p). */
#define sc_buf_push(p, n, cap, x)                                                                  \
    do {                                                                                           \
        if ((n) == (cap))                                                                          \
            (p) = sc_buf_grow((p), &(cap), sizeof *(p));                                           \
        (p)[(n)++] = (x);                                                                          \
    } while (0)
void *sc_buf_grow(void *p, uint32_t *cap, size_t size);
void sc_buf_free(void *p);

/* A string under construction; .s is always terminated. Freed with sc_str_free. */
typedef struct ScStr {
    char *s;
    size_t n, cap;
} ScStr;
void sc_str_add(ScStr *s, const char *text);
void sc_str_addn(ScStr *s, const char *text, size_t n);
void sc_str_addf(ScStr *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sc_str_addv(ScStr *s, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void sc_str_free(ScStr *s);
const char *sc_str_get(const ScStr *s);  /* "" when nothing was added */
char *sc_str_keep(ScStr *s, ScArena *a); /* the text, in a; s is freed */
/* The text without the middles of its longest words: names in messages come from anywhere. */
ScStr sc_without_middles(const char *text);
/* A name as text forms write it: as it is if it is [A-Za-z_][A-Za-z0-9_.]*, else as sc_str_quote
 * does, between double quotes with \" \\ and \xNN for control characters. */
void sc_str_name(ScStr *s, const char *name);
void sc_str_quote(ScStr *s, const char *text);
/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void sc_str_json(ScStr *s, const char *text);
/* Text of a model for a message: one of more than 200 bytes keeps its ends, with its length
 * between.
 */
void sc_str_short(ScStr *s, const char *text, size_t n);
/* Reads what sc_str_name or sc_str_quote wrote at *p, moves *p past it and adds the plain text to
 * out. False, *p at the fault, if there is no name, a quote is not closed or an escape is unknown.
 */
bool sc_read_name(const char **p, ScStr *out);

/* --- The session ----------------------------------------------------------------------------- */

/* One use of the compiler, by one thread: strings, types, terms, locations and diagnostics are
 * interned or kept here and live as long as it does. Graphs must be freed before it. */
typedef struct ScCtx ScCtx;
ScCtx *sc_ctx_new(void);
void sc_ctx_free(ScCtx *cx);
ScArena *sc_ctx_arena(ScCtx *cx); /* memory that lives as long as the session */

/* Equal strings are equal pointers. */
const char *sc_intern(ScCtx *cx, const char *s);
const char *sc_intern_n(ScCtx *cx, const char *s, size_t n);
/* Equal bytes are equal pointers: for anything of plain data, aligned to 16. */
const void *sc_intern_bytes(ScCtx *cx, const void *p, size_t n);
/* Calls end(arg) when the session ends, the last one given first; what it frees may be used until
 * then. */
void sc_at_end(ScCtx *cx, void (*end)(void *arg), void *arg);
/* [n] bytes of a file that are mapped for reading until the session ends. sc_forget: of bytes that
 * lie there the pages may leave memory until they are read again; nothing for other bytes. */
void sc_note_mapped(ScCtx *cx, const void *p, size_t n);
void sc_forget(ScCtx *cx, const void *p, size_t n);
/* A slot for an upper floor's per-session cache: made zeroed on first use, n bytes, found by key.
 */
void *sc_ctx_slot(ScCtx *cx, const void *key, size_t bytes);

/* Files that the session has read, so that no output replaces one. */
void sc_note_read(ScCtx *cx, const char *path, uint64_t device, uint64_t inode);
const char *sc_was_read(const ScCtx *cx, uint64_t device, uint64_t inode); /* its path, or NULL */

uint64_t sc_gcd(uint64_t a, uint64_t b); /* of a and 0: a */

/* FNV-1a over bytes, chained: begin with SC_HASH. */
#define SC_HASH 0xcbf29ce484222325u
uint64_t sc_hash(uint64_t h, const void *p, size_t n);
/* Mixes one word into a hash: fast, for tables that live in memory. */
static inline uint64_t sc_hash_word(uint64_t h, uint64_t w)
{
    h = (h ^ w) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

/* --- Stages: what is being done, for whoever shows or times it ------------------------------- */

/* Stages nest. A watcher is called where one begins, ends or has moved on, with the innermost one
 * there is then, or NULL. */
typedef struct ScStage {
    ScCtx *cx;
    const char *name;
    struct ScStage *around; /* NULL: the outermost */
    uint64_t done, all;     /* units of its work; all is 0 where their number is not known */
} ScStage;
/* A stage from here to the end of the block. */
#define SC_STAGE(cx, name)                                                                         \
    __attribute__((cleanup(sc_stage_end), unused)) ScStage stage_of_block;                         \
    sc_stage_begin((cx), &stage_of_block, (name))
void sc_stage_begin(ScCtx *cx, ScStage *s, const char *name);
void sc_stage_end(ScStage *s);
/* Of the innermost one, which whoever calls this has begun. */
void sc_stage_share(ScCtx *cx, uint64_t done, uint64_t all);
void sc_watch_stages(ScCtx *cx, void (*watch)(void *arg, const ScStage *innermost), void *arg);

/* --- Locations ------------------------------------------------------------------------------- */

typedef enum ScPhase { SC_FORWARD, SC_BACKWARD, SC_OPTIMIZER } ScPhase;

typedef struct ScOrigin { /* one ONNX node */
    const char *name;     /* its name, or its first output's */
    const char *op;       /* "MatMul"; NULL when read from text */
    int32_t index;        /* place in the model; -1 when read from text */
} ScOrigin;

typedef struct ScLoc { /* interned: where a node came from */
    const char *file;  /* the model's, or NULL */
    uint32_t line;     /* of a text file, or 0 */
    ScPhase phase;
    uint32_t n;
    const ScOrigin *origin; /* [n], in model order, without doubles */
} ScLoc;

const ScLoc *sc_loc(ScCtx *cx, const char *file, uint32_t line, ScPhase phase, uint32_t n,
                    const ScOrigin *origin);
/* The union of both, with a's file, line and phase; either may be NULL. */
const ScLoc *sc_loc_join(ScCtx *cx, const ScLoc *a, const ScLoc *b);
/* The union of n of them, with the first one's file, line and phase; NULL where n is 0. */
const ScLoc *sc_loc_join_all(ScCtx *cx, uint32_t n, const ScLoc *const *loc);

/* --- Diagnostics ----------------------------------------------------------------------------- */

/* SC_E_<NAME> has the value of its number, SC_DIAG(NAME, number, title, explanation) in diag.def.
 */
typedef enum ScDiagId {
#define SC_DIAG(id, number, title, explanation) SC_E_##id = (number),
#include "diag.def"
#undef SC_DIAG
} ScDiagId;

typedef struct ScDiag {
    ScDiagId id;
    bool warning;
    const ScLoc *loc;   /* or NULL */
    const char *file;   /* loc's, or the session's current file; may be NULL */
    const char *detail; /* after the title, "" if it says it all */
    uint32_t n_row;     /* lines below: label, name, text in columns */
    const char *(*row)[3];
    uint32_t n_note;
    const char **note;
} ScDiag;

/* Records an error and returns false, so that check and report are one statement. A second equal
 * one (same id, loc and text) is dropped. Past 100 errors further ones are only counted, and past
 * 100 warnings likewise. */
bool sc_fail(ScCtx *cx, const ScLoc *loc, ScDiagId id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same about another file than the model, which the message begins with. */
bool sc_fail_file(ScCtx *cx, const char *file, ScDiagId id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void sc_warn(ScCtx *cx, const ScLoc *loc, ScDiagId id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds a row or a note to the diagnostic recorded last; nothing if that one was dropped. A note may
 * hold several lines. */
void sc_detail(ScCtx *cx, const char *label, const char *name, const char *text);
void sc_note(ScCtx *cx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

uint32_t sc_n_errors(const ScCtx *cx);
uint32_t sc_n_diags(const ScCtx *cx);
const ScDiag *sc_diag(const ScCtx *cx, uint32_t i);
void sc_clear_diags(ScCtx *cx);
/* Drops what was recorded after the first n: for what was tried and has another way. */
void sc_forget_diags(ScCtx *cx, uint32_t n);
void sc_set_file(ScCtx *cx, const char *file); /* names the file in errors without a location */

/* "mnist.onnx: error[E0203] in MatMul "fc1/MatMul" (node 17): inner dimensions differ\n    A ..."
 * With a line number after the file for a text graph; each line ends with a newline. */
void sc_diag_text(const ScDiag *d, ScStr *out);
void sc_diag_json(const ScDiag *d, ScStr *out); /* one JSON object */
/* Title and explanation of a number, or NULL. */
const char *sc_diag_title(uint32_t number);
const char *sc_diag_explain(uint32_t number);

/* --- Terms ----------------------------------------------------------------------------------- */

/* An integer known symbolically: a dimension or an exponent. Interned and canonical, so equal
 * pointers are equal values; unequal pointers are not proven different. Sums are linear
 * combinations with sorted operands; products distribute over sums; min and max are flat and
 * sorted. Order is by structure and name, never by address. */
typedef enum ScTermKind {
    SC_T_CONST, /* c */
    SC_T_SYM,   /* sym */
    SC_T_SUM,   /* c + sum coef[i] * arg[i]; no arg is a constant or a sum */
    SC_T_MUL,   /* product of arg[i], none a constant, sum or product */
    SC_T_FDIV,  /* floor(arg[0] / arg[1]) */
    SC_T_CDIV,  /* ceil(arg[0] / arg[1]) */
    SC_T_MOD,   /* arg[0] - arg[1] * floordiv */
    SC_T_MIN,   /* least of arg, and of c where has_c */
    SC_T_MAX,
    SC_T_LOG2,  /* floor(log2 max(arg[0], 1)) */
    SC_T_BCAST, /* the common extent of two that meet in a broadcast: the other where one is 1 */
} ScTermKind;

typedef struct ScTerm ScTerm;
struct ScTerm {
    ScTermKind kind;
    bool has_c;
    uint32_t n;
    uint32_t size; /* leaves and operators when written out; see SC_TERM_MAX */
    int64_t c;
    const char *sym;
    const ScTerm *const *arg; /* [n] */
    const int64_t *coef;      /* [n] for SC_T_SUM, else NULL */
};

/* Building: NULL operands give NULL; an overflow of int64_t, and a term that would be larger than
 * SC_TERM_MAX when written out, give a poison symbol that absorbs every operation and that no
 * evaluation accepts; it prints as "overflow!" and is no symbol of that name. Quotients cancel
 * factors that may be 0: floordiv(4*n,n) is 4 also for n = 0, so that a reshape of no rows keeps
 * its shape. A ceildiv by a constant is a floordiv. */
#define SC_TERM_MAX 4096
const ScTerm *sc_term(ScCtx *cx, int64_t c);
const ScTerm *sc_term_sym(ScCtx *cx, const char *name);
const ScTerm *sc_term_add(ScCtx *cx, const ScTerm *a, const ScTerm *b);
/* The sum of coef[i] * t[i], none of them NULL; coef NULL: of t. One step, however many. */
const ScTerm *sc_term_sum(ScCtx *cx, uint32_t n, const ScTerm *const *t, const int64_t *coef);
const ScTerm *sc_term_sub(ScCtx *cx, const ScTerm *a, const ScTerm *b);
const ScTerm *sc_term_mul(ScCtx *cx, const ScTerm *a, const ScTerm *b);
const ScTerm *sc_term_scale(ScCtx *cx, const ScTerm *a, int64_t k);
const ScTerm *sc_term_addc(ScCtx *cx, const ScTerm *a, int64_t k);
const ScTerm *sc_term_fdiv(ScCtx *cx, const ScTerm *a, const ScTerm *b); /* by 0: poison */
const ScTerm *sc_term_cdiv(ScCtx *cx, const ScTerm *a, const ScTerm *b);
const ScTerm *sc_term_mod(ScCtx *cx, const ScTerm *a, const ScTerm *b);
const ScTerm *sc_term_min(ScCtx *cx, const ScTerm *a, const ScTerm *b);
const ScTerm *sc_term_max(ScCtx *cx, const ScTerm *a, const ScTerm *b);
const ScTerm *sc_term_log2(ScCtx *cx, const ScTerm *a);
const ScTerm *sc_term_bcast(ScCtx *cx, const ScTerm *a, const ScTerm *b);

/* Whether a term is the poison of an overflow. */
bool sc_term_overflowed(const ScTerm *t);
/* True and the value where t is a constant. */
bool sc_term_const(const ScTerm *t, int64_t *ret);
static inline bool sc_term_is(const ScTerm *t, int64_t c)
{
    return t && t->kind == SC_T_CONST && t->c == c;
}

typedef struct ScBinding { /* a symbol's value */
    const char *sym;       /* interned */
    int64_t value;
} ScBinding;
/* False if a symbol is unbound, a division is by zero, or the value overflows. */
bool sc_term_eval(const ScTerm *t, uint32_t n, const ScBinding *env, int64_t *ret);
/* Replaces symbols by terms: sym[i] (interned) by to[i]. */
const ScTerm *sc_term_subst(ScCtx *cx, const ScTerm *t, uint32_t n, const char *const *sym,
                            const ScTerm *const *to);
/* Calls see for every symbol of t, once for each occurrence. */
void sc_term_symbols(const ScTerm *t, void (*see)(void *arg, const char *sym), void *arg);
/* -1, 0, 1 by structure: the canonical order. */
int sc_term_cmp(const ScTerm *a, const ScTerm *b);

/* The least and the greatest value that a term can have; the ends of int64_t: no bound is known. */
typedef struct ScRange {
    int64_t lo, hi;
} ScRange;
ScRange sc_term_range(ScCtx *cx, const ScTerm *t);
/* Whether t is never more than u, as far as bounds and the operands of min and max prove it. */
bool sc_term_at_most(ScCtx *cx, const ScTerm *t, const ScTerm *u);
/* A symbol is an extent, and not below 0, unless its binder says in this session that it can be
 * otherwise: each call widens its bounds. sym is interned. */
void sc_sym_bound(ScCtx *cx, const char *sym, ScRange range);

/* Text: 4, batch, 2*n+3, floordiv(n,2), ceildiv(n,2), mod(n,2), min(a,b), max(a,b), log2(n),
 * bcast(a,b), n*m. No spaces. Symbols that are not [A-Za-z_][A-Za-z0-9_.]* are quoted: "my dim"*2.
 */
void sc_term_print(const ScTerm *t, ScStr *out);
/* Parses the longest term at *p and moves *p past it; NULL and *p at the fault if there is none. */
const ScTerm *sc_term_parse(ScCtx *cx, const char **p);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The products, CONTRACT, CONV and ATTENTION, their neighbour POOL, and what they share: packed FP8
 * units, weight panels, the register tile and the loop over tiles. Read decode.c, pack.c, micro.c,
 * tile.c, job.c, then contract.c and window.c. */
#ifndef SC_CODEGEN_PRODUCT_H
#define SC_CODEGEN_PRODUCT_H

#include "codegen/emit/emit.h"

extern const CgClass cg_attention, cg_contract, cg_conv, cg_pool;

/* --- Units: packed FP8 codes that one step decodes (decode.c) --------------------------------- */

/* A unit is 4 w codes, which become 4 vectors of w lanes (2 of w pairs). Codes of fewer than 8
 * bits: lane i of vector j lies in bits j * bits and up of word i, of bits / 2 bytes, which lie
 * side by side, or, where they are three, w bytes apart. Else: where in the unit the code of a lane
 * lies depends on the way, so that no way needs to move lanes.
 */

typedef enum CgUnitWay {
    CG_UNIT_PLAIN,   /* not packed FP8: a unit is one row of the panel, elements in order */
    CG_UNIT_BITS,    /* integer operations on 32-bit lanes */
    CG_UNIT_F16,     /* bits into f16, the conversion instruction, times 2^8 for E4M3 */
    CG_UNIT_TABLE,   /* byte tables of the upper half of the f32 (VBMI) */
    CG_UNIT_SHIFT,   /* pmaddubsw as a shift, times 2^120: normal codes and zeros only, as packed */
    CG_UNIT_PERM,    /* lookup of the f32 or its upper bytes: codes of 4 bits */
    CG_UNIT_NIBBLES, /* codes of 4 bits to bytes by pshufb, then as CG_UNIT_SHIFT */
    CG_UNIT_PAIRS,   /* both bytes of a bf16, each by itself; two rows become one of pairs */
} CgUnitWay;

enum {                           /* what is known of all codes of a tensor */
       CG_CODES_NORMAL = 1 << 0, /* none is subnormal; zeros are normal here */
       CG_CODES_FINITE = 1 << 1, /* none is NaN or infinite */
       CG_CODES_LOW = 1 << 2,    /* none has one of the highest exponents: see cg_unit_code */
};
uint64_t cg_codes_facts(ScrtDtype t, const void *code, size_t n);

typedef struct CgUnit { /* plain data, compared as bytes */
    uint32_t way;       /* CgUnitWay */
    uint32_t dtype;     /* of the stored elements */
    uint32_t w;         /* lanes of a decoded vector */
    uint32_t nv;        /* pairs: vectors of a row, 1 or 2 */
    uint32_t facts;     /* CG_CODES_, of the codes before they are raised */
    uint32_t raised;    /* what is packed are codes of numbers 2^raised times as large */
    uint32_t left;      /* decoded numbers stay 2^left too small: cg_unit_small or 0 */
} CgUnit;
/* The way that the target takes for codes of which facts are known; w is the target's. Plain for
 * every type but E4M3FN, E5M2 and those of fewer than 8 bits. */
CgUnit cg_unit(const CgTarget *t, ScrtDtype dtype, uint64_t facts);
const char *cg_unit_name(const CgUnit *u);
/* The code that is packed for one of 8 bits. Raised by as many exponents as the mantissa has bits,
 * subnormal numbers are normal. */
uint8_t cg_unit_code(const CgUnit *u, uint8_t code);
/* The byte of the unit that holds lane i % w of vector i / w; of codes of 8 bits or more. */
uint32_t cg_unit_place(const CgUnit *u, uint32_t i);
/* Of codes of fewer bits: which bit of the unit is bit `bit` of the code in lane i % w of vector
 * i / w. */
uint32_t cg_unit_bit(const CgUnit *u, uint32_t i, uint32_t bit);
/* Decodes the unit at ptr (aligned to a byte): exactly, whatever the code, as far as the facts
 * allow it to be. Not for plain units. ret: its 4 w numbers as vectors of `lanes`: w, or where the
 * unit splits a part of it, for code whose vectors are narrower than those it was packed for. */
void cg_unit_decode(Cg *cg, const CgUnit *u, uint32_t lanes, LLVMValueRef ptr, LLVMValueRef *ret);
bool cg_unit_splits(const CgUnit *u);
/* How many times too small, as a power of two, numbers are before the way's last step makes them
 * right; whoever multiplies them may do so with numbers that much larger. */
uint32_t cg_unit_small(const CgUnit *u);
/* Of a unit of nibbles or words of 4 codes that holds two or four rows: its codes as integers from
 * 0 on, those of two rows beside each other. A number is its integer and the least, times the step;
 * cg_unit_least gives both. For AVX2.
 * In 16 bits: two integers in each of 8 lanes of the w / 4 vectors; of four rows the even ones come
 * first, then the odd ones.
 * In 8 bits, of 16 words: two integers in each of 16 lanes of two vectors. Of four rows the one has
 * the even ones, the other the odd ones; of two rows the one has the lower 16 columns, the other
 * the upper ones. */
void cg_unit_whole(Cg *cg, const CgUnit *u, LLVMValueRef ptr, LLVMValueRef *ret);
void cg_unit_whole8(Cg *cg, const CgUnit *u, LLVMValueRef ptr, LLVMValueRef ret[2]);
int32_t cg_unit_least(const CgUnit *u, float *ret_step);
/* The first way that lays codes as this unit's does. */
uint32_t cg_unit_layout(const CgUnit *u);
/* 64 codes of E4M3FN or E5M2 in the order of memory to two vectors of 32 bf16 bit patterns, or 16
 * to two of 8, where CG_UNIT_PAIRS is a way of the target's. */
void cg_pairs_decode(Cg *cg, ScrtDtype dtype, LLVMValueRef codes, LLVMValueRef ret[2]);

/* The vectors of a unit of a panel, one for each step of a tile and each of a row's, as the tile's
 * elements of B, before any scales. */
typedef struct CgPanels CgPanels;
enum { CG_UNIT_VECS = 16, CG_ROW_VECS = 8 }; /* of a unit, of a row of a panel: at most */
void cg_unit_load(Cg *cg, const CgPanels *p, LLVMValueRef panel, LLVMValueRef unit,
                  LLVMValueRef ret[CG_UNIT_VECS]);
/* What integers of a plain unit are as numbers of type el. */
void cg_unit_numbers(Cg *cg, const CgPanels *p, LLVMTypeRef el, LLVMValueRef x[CG_UNIT_VECS]);

/* --- Panels: constant matrices as [batch][n / nr][k / ku] units of [ku][nr] (pack.c, panels.c) -
 */

enum { CG_PACK_BATCH = SCRT_MAX_RANK };
struct CgPanels { /* plain data: the argument of the packer */
    CgUnit unit;
    uint32_t nr, ku;      /* columns of a panel; rows of a unit */
    uint32_t w;           /* lanes of the vectors that it is read in: unit.w or fewer */
    uint32_t deep;        /* panels have a multiple of as many rows: the tile's, at least ku */
    uint32_t size;        /* bytes of an element, of 8 bits or more */
    uint32_t block;       /* rows that have a scale, in panels of their own; 0: there are none */
    uint32_t scale;       /* ScrtDtype of the scales, */
    uint32_t scale_facts; /* and CG_CODES_ of them */
    uint32_t n_batch;
    int64_t batch[CG_PACK_BATCH], batch_stride[CG_PACK_BATCH]; /* elements of the operand */
    int64_t k, n, n_stride, offset;
    /* Row r lies at r / k_inner * k_outer + r % k_inner * k_stride; k_inner 0: r * k_stride. */
    int64_t k_inner, k_outer, k_stride;
};
void cg_pack_panels(const ScrtTensor *t, const void *arg, unsigned char *out); /* CgPackFn */
size_t cg_panels_bytes(const CgPanels *p);                                     /* of all matrices */
int64_t cg_unit_bytes(const CgPanels *p); /* of ku rows of a panel */
CgPack cg_panels_pack(CgModule *m, const CgPanels *p);
/* What the packer reads of it: equal where the same bytes come of the same data, whoever reads
 * them. */
CgPanels cg_panels_layout(const CgPanels *p);
int64_t cg_panel_bytes(const CgPanels *p);  /* of one panel */
int64_t cg_matrix_bytes(const CgPanels *p); /* of one matrix of the batch */
typedef struct CgTile CgTile;
/* Chooses unit, nr, ku and size for a tile's columns; facts: of the codes. */
void cg_panels_init(CgModule *m, ScrtDtype dtype, uint64_t facts, const CgTile *t, CgPanels *ret);
/* Where a packed panel begins at row k0, a multiple of ku. */
LLVMValueRef cg_panel_at(Cg *cg, const CgPanels *p, uint32_t operand, LLVMValueRef matrix,
                         LLVMValueRef panel, LLVMValueRef k0);
/* Where it ends, n_k rows (rounded up to ku) behind `begin`; *ret_row: bytes of a row, i64. */
LLVMValueRef cg_panel_end(Cg *cg, const CgPanels *p, LLVMValueRef begin, LLVMValueRef n_k,
                          LLVMValueRef *ret_row);
/* n_k rows of a packed panel as the tile's elements of B: the panel itself, or decoded to dst.
 * scales: the panel of scales, from the block of the first row on; NULL where there are none. The
 * function that decodes is made beforehand, since functions end before the next begins. */
void cg_panel_prepare(CgModule *m, const CgPanels *p, const CgTile *t);
LLVMValueRef cg_panel_values(Cg *cg, const CgPanels *p, const CgTile *t, LLVMValueRef src,
                             LLVMValueRef scales, LLVMValueRef n_k, LLVMValueRef dst);
int64_t cg_scales_bytes(const CgPanels *p);   /* of a block's scales, nr of them */
const char *cg_scale_name(const CgPanels *p); /* their type, for names of functions */
/* The scales of a block at ptr, nr of them: vectors of the tile. */
void cg_scales_load(Cg *cg, const CgPanels *p, LLVMValueRef ptr, LLVMValueRef *ret);
/* Facts of the codes of a constant operand, through views; 0 where nothing is known. */
uint64_t cg_operand_facts(CgModule *m, const CgFunc *f, ScVal v);

/* --- The register tile (tile.c) --------------------------------------------------------------- */

/* C[mr][nr] (+)= A[mr][k] * B[k][nr], in scratch: A in chunks of kc columns, [chunk][row][ks]; B
 * [k / ku][nr][ku]; C rows of nr. One function for each shape, shared by all kernels. */

typedef struct CgTypes { /* of a product */
    ScrtDtype a, b;      /* as stored, where they are multiplied as they are; else the result's */
    ScrtDtype result;
    bool packed; /* B is in packed panels: so nv must divide 4, and a step may take several k */
    ScrtDtype stored; /* of packed B: its elements, */
    uint64_t facts;   /* and what is known of their codes */
    bool wide_units;  /* they lie as they do for vectors of 16 lanes */
} CgTypes;

/* What multiplies: a row of the table in micro.c. A step multiplies ku neighbours in k of a row of
 * A by as many of a column of B and adds the products to a sum. */
typedef struct CgMicro {
    const char *name, *text; /* of functions; in reports, behind "tile" */
    uint64_t needs, unless;  /* features of the target, as 1 << SCRT_CPU_ */
    bool (*fits)(const CgTypes *t);
    ScrtDtype a, b, sum; /* of the elements in scratch and the sums; none: the result computes */
    uint32_t ku;
    uint32_t deep;  /* neighbours in k that a step of a tile takes at once; 0: ku */
    bool large;     /* only where cg_registers_pay */
    bool registers; /* in tile registers: registers.c; mac is for few rows, which have none */
    bool squares;   /* tiles by BFMMLA, 2 x 2 sums at once: what mac does, in the same order */
    uint32_t way;   /* CgUnitWay in which FP8 codes of B are decoded; plain: as the target would */
    /* acc + a * b: vectors of w sums and of w * ku elements. */
    LLVMValueRef (*mac)(Cg *cg, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc);
    /* Where a tile adds up `deep` neighbours from zero, in ku parts, and adds that to its sum: mac
     * is for w * ku sums, and this makes w of them. NULL: mac adds to the sum. */
    LLVMValueRef (*part)(Cg *cg, LLVMValueRef acc);
} CgMicro;

typedef struct CgElement {
    LLVMTypeRef type;
    uint32_t size; /* bytes */
} CgElement;

enum { CG_TILE_ROWS = 128 }; /* rows of A that a thread holds at a time: at most, up to a tile */

struct CgTile {
    const CgMicro *micro;
    CgElement a, b; /* as they are multiplied */
    LLVMTypeRef el; /* of the sums: f32, f64 or an integer */
    uint32_t size;  /* its bytes */
    uint32_t ku;    /* the micro's */
    uint32_t deep;  /* rows of A end in zeros up to a multiple of it, and so do chunks of B */
    uint32_t w, nv; /* sums of a vector; vectors of a row */
    uint32_t parts; /* tiles side by side in a panel: several where it is a later level's */
    uint32_t nr;    /* columns of a panel: w * nv * parts */
    uint32_t lanes; /* of the vectors that packed panels are for: this target's, a later level's, or
                     * 16 where units are wide */
    uint32_t last;  /* lanes of the row's last vector that are computed, <= w */
    uint32_t mr;    /* rows */
    uint32_t high;  /* of a tile register; 0: there are none */
    uint32_t low;   /* rows of the lower tile for what is left: 0: none is; < mr */
    bool exact;     /* what is left is always `low` rows; else up to mr, zeros below */
    uint32_t kc;    /* columns of a chunk, a multiple of 4 */
    uint32_t ks;    /* distance of A's rows in elements of A, as they are read */
    uint32_t turned; /* columns of a tile's rows lie one after the other, mr elements each: so many
                        are there room for in a chunk; 0: rows do */
    uint32_t rows;   /* of a block at most: a multiple of mr */
};

/* What multiplies, its types and lanes; the rest of *ret is 0. large: see CgMicro. */
void cg_tile_types(CgModule *m, const CgTypes *types, bool large, CgTile *ret);
/* That, and panels of one vector's columns. */
void cg_tile_vector(CgModule *m, const CgTypes *types, CgTile *ret);
/* That, and a tile for a result of rows x cols summed over depth; extents are terms, NULL cols: as
 * many as wanted. */
void cg_tile_init(CgModule *m, const CgTypes *types, const ScTerm *rows, const ScTerm *cols,
                  const ScTerm *depth, CgTile *ret);
static inline CgTypes cg_types_of(ScrtDtype result) /* multiplied in the result's compute type */
{
    return (CgTypes){.a = result, .b = result, .result = result};
}
void cg_tile_chunk(CgTile *t, uint32_t whole); /* makes kc a multiple of it, a power of two */
/* Lets tiles read rows of A that lie `pitch` elements apart, as they are multiplied, without a
 * copy; false where too many of a tile's would meet in one set of the cache. */
bool cg_tile_direct(CgTile *t, int64_t pitch);
/* Lets tiles read their rows of A column by column where that pays: a processor with few registers
 * has low tiles, for which many short rows are to come from the second cache. */
void cg_tile_columns(const CgTarget *target, CgTile *t);
/* The rows of a tile, ks elements apart, to columns at dst, with room for w columns more; n: i64,
 * columns that are wanted. */
void cg_tile_turn(Cg *cg, const CgTile *t, LLVMValueRef rows, LLVMValueRef n, LLVMValueRef dst);
/* void (ptr a, ptr b, ptr c, i64 k, i1 first, ptr off, ptr next, i64 step): rows of b lie nr
 * elements apart, or, with offsets, at off[k] (i64 elements) from b. first: C is written, else
 * added to. next + k * step, in bytes, is prefetched into L2 at step k. */
LLVMValueRef cg_tile_fn(CgModule *m, const CgTile *t, uint32_t mr, bool offsets);
typedef struct CgTileArgs {
    LLVMValueRef a, b, c, k, first; /* first: i1 */
    LLVMValueRef off;               /* NULL: none */
    LLVMValueRef next, step;        /* next NULL: nothing is to be prefetched */
} CgTileArgs;
/* Calls the tile of mr rows, which the caller has made before, on each part of the panel. */
void cg_tile_call(Cg *cg, const CgTile *t, uint32_t mr, const CgTileArgs *x);
/* What the tiles of a chunk ask memory for while they multiply: each its share of every row of what
 * begins at next, for n_row rows of A by n_k rows of B; `row`: bytes of a row. */
typedef struct CgAhead {
    LLVMValueRef next, step, share;
} CgAhead;
CgAhead cg_ahead(Cg *cg, const CgTile *t, LLVMValueRef n_row, LLVMValueRef n_k, LLVMValueRef next,
                 LLVMValueRef row);
/* Where the share of the tile begins whose first row is i. */
LLVMValueRef cg_ahead_at(Cg *cg, const CgTile *t, const CgAhead *a, LLVMValueRef i);
/* ku elements of a row of A at ptr, as often as a vector has w sums. */
LLVMValueRef cg_tile_group(Cg *cg, const CgTile *t, LLVMValueRef ptr, uint32_t w);
/* x, one or w lanes, as numbers of type el: of what integers of 8 and 16 bits store. */
LLVMValueRef cg_number(Cg *cg, LLVMTypeRef el, CgVal x, uint32_t w);
/* Stores numbers, one or w lanes, as elements of a row of A. */
void cg_tile_put(Cg *cg, const CgTile *t, CgVal x, uint32_t w, LLVMValueRef ptr);
/* A vector of w zeros at ptr in a row of A. */
void cg_tile_zeros(Cg *cg, const CgTile *t, LLVMValueRef ptr);
/* The type of acc, and acc + a * b: see CgMicro. */
LLVMTypeRef cg_tile_sums(const CgTile *t);
LLVMValueRef cg_tile_mac(Cg *cg, const CgTile *t, LLVMValueRef a, LLVMValueRef b, LLVMValueRef acc);

/* --- Tile registers (registers.c) ------------------------------------------------------------- */

/* Whether a product is worth the configuration; -1: unknown. */
bool cg_registers_pay(const CgTarget *target, int64_t rows, int64_t cols, int64_t depth);
/* Columns and rows of a tile; usual: rows that there are most often, -1 where nobody knows. */
void cg_registers_shape(int64_t rows, int64_t usual, int64_t cols, CgTile *t);
/* Loads the configuration, gives the registers back: nothing where the tile has none. */
void cg_registers_begin(Cg *cg, const CgTile *t);
void cg_registers_end(Cg *cg, const CgTile *t);
/* What the function of a tile of mr rows does; see cg_tile_fn. */
void cg_registers_tile(Cg *cg, const CgTile *t, uint32_t mr, const CgTileArgs *x);

/* --- The loop over tiles (job.c) -------------------------------------------------------------- */

/* A problem cut into tiles. A depends on outer and the row, B on outer, inner and the column:
 * matmul: outer is the batch, inner 1; conv: outer is the group, inner the image. */
typedef struct CgJob CgJob;
typedef struct CgAt {                       /* where the loop stands */
    LLVMValueRef outer, inner, row0, n_row; /* the block of rows */
    LLVMValueRef col0, col1, panel;
    LLVMValueRef a, b, c; /* this thread's scratch */
    LLVMValueRef extra;
    LLVMValueRef k0, n_k; /* the chunk */
} CgAt;
struct CgJob {
    CgFunc *f;
    CgTile tile;
    const ScTerm *outer, *inner, *rows, *cols, *depth;
    const ScTerm *b_bytes;     /* scratch for a panel of B, or NULL */
    const ScTerm *extra_bytes; /* and for the class's own, or NULL */
    bool offsets;              /* the tile reads B through off */
    void *self;
    /* Writes row `row` (of the whole) to dst for one chunk: n_k elements, then zeros up to a
     * multiple of 4 and of the tile's `deep`. */
    void (*a_row)(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row, LLVMValueRef dst);
    /* Where row `row` lies, and those of its tile tile.ks elements apart; NULL: rows are copied. */
    LLVMValueRef (*a_at)(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row);
    void (*once)(Cg *cg, const CgJob *j, const CgAt *at);  /* before the first item; may be NULL */
    void (*image)(Cg *cg, const CgJob *j, const CgAt *at); /* new outer or inner; may be NULL */
    /* Makes the panel and answers where it is; ret_off where offsets. */
    LLVMValueRef (*panel)(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret_off);
    /* What memory holds for the chunk after this one: answers the bytes of a row (i64), and where
     * they begin, perhaps beyond the last; NULL: B does not come from memory in this order. */
    LLVMValueRef (*ahead)(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret);
    /* Asks memory for what finishing the row's columns from col0 on, a panel's, will load. NULL:
     * that loads nothing of the row's own. */
    void (*ask)(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef row);
    /* Stores n rows from `row` on, whose sums begin at c, columns col0 .. col1; more than one, and
     * at most CG_AT_ONCE, where epi says so. */
    void (*finish)(Cg *cg, const CgJob *j, const CgAt *at, uint32_t n, LLVMValueRef row,
                   LLVMValueRef c);
    const CgEpi *epi; /* or NULL */
};
/* Terms of the scratch a thread needs for this job. */
const ScTerm *cg_job_scratch(CgModule *m, const CgJob *j);
/* The body function over all items, and, in an entry, its run on the pool. */
LLVMValueRef cg_job_body(CgModule *m, const CgJob *j);
void cg_job_run(Cg *cg, const CgJob *j, LLVMValueRef body);
/* One row of A into scratch: n elements at address of a, `stride` apart, then zeros, as many as the
 * tile wants. */
void cg_row_copy(Cg *cg, const CgTile *t, const CgAccess *a, LLVMValueRef address,
                 const ScTerm *stride, LLVMValueRef n, LLVMValueRef dst);
/* FP8 neighbours that become pairs of bf16 are looked up so many at a time: a fifth of the
 * instructions that the way by f32 takes. */
static inline uint32_t cg_codes(const CgTile *t)
{
    return 4 * t->w;
}
/* Whether elements of a, `stride` apart, are such neighbours and rows of A hold such pairs. */
bool cg_by_codes(const CgFunc *f, const CgTile *t, const CgAccess *a, const ScTerm *stride);
/* Codes of a type at `codes`, of which cg_codes are read, to dst in a row of A: half of them where
 * n is no more, else all. */
void cg_codes_put(Cg *cg, const CgTile *t, ScrtDtype type, LLVMValueRef codes, LLVMValueRef dst,
                  uint32_t n);
/* Sums acc[from] .. acc[to - 1] plus the bias, through the epilogue into those columns of a row of
 * `cols`, in one panel. */
void cg_finish_row(Cg *cg, const CgTile *t, const CgEpi *epi, const CgEpiRow *row, LLVMValueRef acc,
                   LLVMValueRef from, LLVMValueRef to, const ScTerm *cols);
/* The same for columns col0 .. col1 - 1, a panel of `cols` columns, whose sums begin at acc, those
 * of a row beside it t->nr elements on; they are columns first + col0 and up of the row. */
void cg_finish_panel(Cg *cg, const CgTile *t, const CgEpi *epi, const CgEpiRow *row,
                     LLVMValueRef acc, LLVMValueRef col0, LLVMValueRef col1, const ScTerm *cols,
                     LLVMValueRef first);
static inline uint32_t cg_round_up(uint32_t x, uint32_t to) /* to a multiple of it */
{
    return (x + to - 1) / to * to;
}
/* A window: its pads are terms, the rest are words. */
void cg_shape_window(CgShape *s, ScWindow *w);
/* How often nodes of g read v. */
uint32_t cg_uses(const ScGraph *g, ScVal v);
/* A grain in items, so that a piece is worth waking a thread for; clocks: i64, of one item. */
LLVMValueRef cg_grain(Cg *cg, LLVMValueRef clocks);

#endif

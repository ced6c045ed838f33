/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that ONNX says in other words: casts, shapes that are operands, sizes, and operators whose
 * results have as many elements as data says. */
#include "frontend/export_priv.h"

/* --- Elements --------------------------------------------------------------------------------- */

void ex_cast_row(Export *x, const ScNode *n)
{
    enum { TO, SATURATE, ROUND };
    ScrtDtype to = n->attr[TO].dtype;
    bool e8m0 = to == SCRT_F8E8M0, fp8 = scrt_dtype_is_low(to) && scrt_dtype_bits(to) == 8 && !e8m0;
    int since = e8m0 ? EX_OPSET_E8M0 : fp8 ? 19 : 13;
    Onnxpb__Node *c = ex_same(x, "Cast", since, 1, (const char *[]){ex_operand(x, n, 0)}, n);
    ex_int(x, c, "to", to);
    if (fp8 && !n->attr[SATURATE].i)
        ex_int(x, c, "saturate", 0);
    if (e8m0)
        ex_string(x, c, "round_mode",
                  n->attr[ROUND].i == SCRT_UP     ? "up"
                  : n->attr[ROUND].i == SCRT_DOWN ? "down"
                                                  : "nearest");
}

/* A product with a matrix that is dequantized first; scales that are constants are written in f32,
 * which every runtime takes. */
void ex_block_matmul(Export *x, const ScNode *n)
{
    enum { BLOCK, TRANS, A = 0, B, SCALES };
    const ScGraph *g = x->at->g;
    const ScNode *def = sc_def(g, n->in[SCALES]);
    const ScType *t = sc_type_with(x->cx, sc_type_of(g, n->in[SCALES]), SCRT_F32);
    bool known = def->op->flags & SC_CONST_OP, turned = n->attr[TRANS].i;
    const char *scales = known ? ex_constant(x, g->value[n->in[SCALES]].name, def->attr[0].blob, t)
                               : ex_cast(x, ex_operand(x, n, SCALES), SCRT_F32);
    const char *in[] = {ex_operand(x, n, B), scales ? scales : ""}, *w = NULL, *out = NULL;
    Onnxpb__Node *dq = ex_node(x, "DequantizeLinear", 21, 2, in, 1, &w);
    ex_int(x, dq, "axis", turned ? 1 : 0);
    ex_int(x, dq, "block_size", n->attr[BLOCK].i);
    ScrtDtype to = sc_type_of(g, n->first)->dtype;
    w = to == SCRT_F32 ? w : ex_cast(x, w, to);
    if (turned)
        ex_ints(x, ex_node(x, "Transpose", 13, 1, &w, 1, &out), "perm", 2, (int64_t[]){1, 0});
    ex_same(x, "MatMul", 13, 2, (const char *[]){ex_operand(x, n, A), turned ? out : w}, n);
}

/* ONNX's bounds are scalars; others bound as Max and Min do. */
void ex_clip(Export *x, const ScNode *n)
{
    const char *in[] = {ex_operand(x, n, 0), ex_operand(x, n, 1), ex_operand(x, n, 2)};
    bool scalars = true;
    for (uint32_t i = 1; i < n->n_in; i++)
        scalars = scalars && (n->in[i] == SC_ABSENT || sc_type_of(x->at->g, n->in[i])->rank == 0);
    if (scalars) {
        ex_same(x, "Clip", 13, 3, in, n);
        return;
    }
    const char *y = *in[1] ? ex_op(x, "Max", 13, in[0], in[1]) : in[0];
    if (*in[2])
        ex_same(x, "Min", 13, 2, (const char *[]){y, in[2]}, n);
    else
        ex_same(x, "Identity", 1, 1, &y, n);
}

/* --- Shapes ----------------------------------------------------------------------------------- */

/* Extents as Reshape knows them: 0 copies the operand's, one -1 is what is left. False where that
 * does not say it, or not of tensors without elements. */
static bool short_shape(Export *x, const ScType *from, const ScType *to, int64_t *ret)
{
    uint32_t open = 0, copied = 0;
    bool zero = false;
    for (uint32_t i = 0; i < to->rank; i++) {
        bool copy = i < from->rank && from->dim[i] == to->dim[i];
        if (sc_term_const(to->dim[i], &ret[i])) {
            zero = zero || ret[i] == 0;
        } else {
            ret[i] = copy ? 0 : -1;
            open += !copy;
            copied += copy && sc_term_range(x->cx, to->dim[i]).lo < 1;
        }
    }
    return !zero && (open == 0 || (open == 1 && copied == 0));
}

void ex_reshape(Export *x, const ScNode *n)
{
    const ScType *from = sc_type_of(x->at->g, n->in[0]), *to = sc_type_of(x->at->g, n->first);
    int64_t dims[SCRT_MAX_RANK];
    bool is_short = short_shape(x, from, to, dims);
    const char *shape = is_short ? ex_i64(x, 1, to->rank, dims) : ex_numbers(x, to->rank, to->dim);
    Onnxpb__Node *r = ex_same(x, "Reshape", 14, 2, (const char *[]){ex_operand(x, n, 0), shape}, n);
    if (!is_short)
        ex_int(x, r, "allowzero", 1);
}

void ex_term_row(Export *x, const ScNode *n)
{
    ex_alias(x, n->first, ex_number(x, n->attr[0].ts[0]));
}

/* Its elements have names from here on. */
void ex_bind(Export *x, const ScNode *n)
{
    const char *value = ex_operand(x, n, 0);
    for (uint32_t i = 0; i < n->attr[0].n; i++)
        ex_symbol(x, n->attr[0].ts[i]->sym, value, i, true);
    ex_alias(x, n->first, value);
}

void ex_iota(Export *x, const ScNode *n)
{
    const int64_t first = 0, step = 1;
    const char *end =
        ex_op(x, "Reshape", 5, ex_number(x, n->attr[0].ts[0]), ex_i64(x, 1, 0, &first));
    const char *in[] = {ex_i64(x, 0, 1, &first), end, ex_i64(x, 0, 1, &step)};
    ex_same(x, "Range", 11, 3, in, n);
}

/* --- As many as data says --------------------------------------------------------------------- */

void ex_nonzero(Export *x, const ScNode *n)
{
    ex_same(x, "NonZero", 13, 1, (const char *[]){ex_operand(x, n, 0)}, n);
}

/* Value v is the first extent of `of`, as one number. */
static void count(Export *x, ScVal v, const char *of)
{
    const int64_t none = 0;
    const char *size = NULL, *out = ex_result(x, v);
    Onnxpb__Node *shape = ex_node(x, "Shape", 15, 1, &of, 1, &size);
    ex_int(x, shape, "start", 0);
    ex_int(x, shape, "end", 1);
    size = ex_op(x, "Reshape", 5, size, ex_i64(x, 1, 0, &none));
    ex_int(x, ex_node(x, "Cast", 6, 1, &size, 1, &out), "to", sc_type_of(x->at->g, v)->dtype);
}

/* What stands beyond the count is not there in ONNX; the row's users cut it off. */
void ex_unique(Export *x, const ScNode *n)
{
    enum { AXIS, SORTED, FIRST = 0, INVERSE, COUNTS, COUNT };
    const char *in = ex_operand(x, n, 0), *out[4] = {NULL};
    for (uint32_t i = FIRST; i <= COUNTS; i++)
        out[1 + i] = i < n->n_out ? ex_result(x, n->first + i) : NULL;
    Onnxpb__Node *u = ex_node(x, "Unique", 11, 1, &in, 4, out);
    ex_int(x, u, "axis", n->attr[AXIS].i);
    ex_int(x, u, "sorted", n->attr[SORTED].i);
    if (n->n_out > COUNT)
        count(x, n->first + COUNT, out[1 + FIRST]);
}

void ex_select_boxes(Export *x, const ScNode *n)
{
    const char *in[5];
    const int64_t one = 1;
    for (uint32_t i = 0; i < 5; i++) {
        in[i] = ex_operand(x, n, i);
        if (i > 1 && *in[i]) /* one number, of whatever rank */
            in[i] = ex_op(x, "Reshape", 5, in[i], ex_i64(x, 1, 1, &one));
    }
    Onnxpb__Node *s = ex_same(x, "NonMaxSuppression", 11, 5, in, n);
    ex_int(x, s, "center_point_box", n->attr[1].i);
    if (n->n_out > 1)
        count(x, n->first + 1, ex_result(x, n->first));
}

void ex_roi_align(Export *x, const ScNode *n)
{
    enum { HEIGHT, WIDTH, RATIO, SCALE, MODE, HALF };
    const char *in[] = {ex_operand(x, n, 0), ex_operand(x, n, 1), ex_operand(x, n, 2)};
    Onnxpb__Node *r = ex_same(x, "RoiAlign", 16, 3, in, n);
    ex_int(x, r, "output_height", n->attr[HEIGHT].i);
    ex_int(x, r, "output_width", n->attr[WIDTH].i);
    ex_int(x, r, "sampling_ratio", n->attr[RATIO].i);
    ex_float(x, r, "spatial_scale", n->attr[SCALE].f);
    ex_string(x, r, "mode", n->attr[MODE].s);
    ex_string(x, r, "coordinate_transformation_mode",
              n->attr[HALF].i ? "half_pixel" : "output_half_pixel");
}

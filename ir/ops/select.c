/* SPDX-License-Identifier: Apache-2.0 */
/* How many there are is decided by data: positions of elements that are not zero, whose number the
 * graph has counted before; boxes, in a result that has room for all, with their number. */
#include "ir/ops/ops_priv.h"

/* --- nonzero --------------------------------------------------------------------------------- */

static bool infer_nonzero(ScInfer *in)
{
    if (in->attr[0].n != 1)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`count` must be one term");
    if (!sc_require_nonneg(in, in->attr[0].ts[0], "elements that are not zero"))
        return false;
    const ScTerm *dim[] = {sc_term(in->cx, in->in[0]->rank), in->attr[0].ts[0]};
    return sc_ops_result(in, SCRT_I64, 2, dim);
}

static bool eval_nonzero(ScEval *e)
{
    const ScrtTensor *x = e->in[0];
    int64_t idx[SCRT_MAX_RANK] = {0}, n = e->out[0].dims[1], found = 0, *out = e->out[0].data;
    bool is_float = scrt_dtype_is_float((ScrtDtype)x->dtype);
    for (int64_t i = 0; i < scrt_count(x); i++, sc_ops_next(x->rank, x->dims, idx)) {
        bool zero = is_float ? scrt_load(x->dtype, x->data, (size_t)i) == 0
                             : scrt_load_int(x->dtype, x->data, (size_t)i) == 0;
        for (uint32_t d = 0; !zero && found < n && d < x->rank; d++)
            out[d * n + found] = idx[d];
        found += !zero;
    }
    return found == n ||
           sc_fail(e->cx, e->n->loc, SC_E_INPUT, "%lld elements are not zero, %lld were counted",
                   (long long)found, (long long)n);
}

static void call_nonzero(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    (void)g, (void)n;
    ret->callee = SCRT_CALLEE_NONZERO;
}

/* Elements where a constant says so. */
static uint32_t make_nonzero(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dims[SCRT_MAX_RANK], n = 1, found = 0;
    uint32_t rank = sc_ops_shape(r, 1, 3, dims);
    float mask[125];
    for (uint32_t d = 0; d < rank; d++)
        n *= dims[d];
    for (int64_t i = 0; i < n; i++)
        found += (mask[i] = (float)sc_ops_pick(r, 0, 1)) != 0;
    const void *data = sc_intern_bytes(b->cx, mask, (size_t)n * sizeof *mask);
    ScVal where = sc_const(b, sc_blob(b->cx, NULL, SCRT_F32, rank, dims, data), SCRT_F32, NULL);
    const ScTerm *count = sc_term(b->cx, found);
    ScVal x = sc_op(b, mul, sc_op(b, exp, sc_ops_input(b, "x", SCRT_F32, rank, dims)), where);
    ret_out[0] = sc_op_at(b, nonzero, SC_ATTRS(SC_TERMS(1, &count)), x);
    return 1;
}

const ScOp sc_op_nonzero = {
    .name = "nonzero",
    .doc = "the positions of the elements that are not zero, a column each, in row-major order",
    .onnx = {"", "NonZero", 9},
    .in = "X: plain",
    .out = "Y: int",
    .attr = {{.name = "count",
              .kind = SC_A_TERMS,
              .required = true,
              .doc = "how many there are, one term"}},
    .n_attr = 1,
    .infer = infer_nonzero,
    .scale = "a -> _",
    .lower = {SC_CALL},
    .call = call_nonzero,
    .eval = eval_nonzero,
    .domain = {.make = make_nonzero},
};

/* --- non_max_suppression --------------------------------------------------------------------- */

enum { MOST, CENTER };
enum { BOXES, SCORES, WANTED, IOU, LEAST };

static bool infer_nms(ScInfer *in)
{
    const ScType *box = in->in[BOXES], *score = in->in[SCORES];
    if (box->rank != 3 || score->rank != 3 || in->attr[MOST].n != 1)
        return sc_infer_fail(in, SC_E_RANK, "boxes and scores must have 3 dimensions");
    if (box->dtype != SCRT_F32 || score->dtype != SCRT_F32)
        return sc_infer_fail(in, SC_E_TYPE, "boxes and scores must be f32");
    for (uint32_t i = WANTED; i < in->n_in; i++) {
        bool one = sc_term_is(sc_type_count(in->cx, in->in[i]), 1);
        if (in->in[i]->kind == SC_TYPE_TENSOR &&
            (!one || (i > WANTED && in->in[i]->dtype != SCRT_F32)))
            return sc_infer_fail(in, SC_E_SHAPE, "operand %u must be one number", i);
    }
    if (!sc_require_equal(in, box->dim[0], score->dim[0], "images") ||
        !sc_require_equal(in, box->dim[1], score->dim[2], "boxes") ||
        !sc_require_equal(in, box->dim[2], sc_term(in->cx, 4), "numbers of a box") ||
        !sc_require_nonneg(in, in->attr[MOST].ts[0], "boxes of a class"))
        return false;
    const ScTerm *classes = sc_term_mul(in->cx, score->dim[0], score->dim[1]);
    const ScTerm *dim[] = {sc_term_mul(in->cx, classes, in->attr[MOST].ts[0]), sc_term(in->cx, 3)};
    in->ret[1] = sc_type(in->cx, SCRT_U64, 0, NULL);
    return sc_ops_result(in, SCRT_I64, 2, dim);
}

/* How far boxes p and q overlap, in f32 as detectors have it; -1 where they do not. */
static float overlap(const float *p, const float *q, bool center)
{
    float lo[2][2], hi[2][2], area[2] = {1, 1}, both = 1;
    for (uint32_t d = 0; d < 2; d++) {
        for (uint32_t k = 0; k < 2; k++) {
            const float *x = k ? q : p;
            float a = center ? x[d] - x[d + 2] / 2 : x[d],
                  b = center ? x[d] + x[d + 2] / 2 : x[d + 2];
            lo[k][d] = center ? a : fminf(a, b);
            hi[k][d] = center ? b : fmaxf(a, b);
            area[k] *= hi[k][d] - lo[k][d];
        }
        float width = fminf(hi[0][d], hi[1][d]) - fmaxf(lo[0][d], lo[1][d]);
        if (!(width > 0))
            return -1;
        both *= width;
    }
    float either = area[0] + area[1] - both;
    return both > 0 && area[0] > 0 && area[1] > 0 && either > 0 ? both / either : -1;
}

static double operand(const ScEval *e, uint32_t i, double absent)
{
    bool has = i < e->n->n_in && e->in[i];
    if (!has)
        return absent;
    return i == WANTED ? (double)scrt_load_int(e->in[i]->dtype, e->in[i]->data, 0)
                       : scrt_load(e->in[i]->dtype, e->in[i]->data, 0);
}

/* One class of one image: rows are written to out; answers how many. */
static int64_t choose(const ScEval *e, const float *box, const float *score, int64_t n, double most,
                      bool *gone, int64_t *out)
{
    double least = operand(e, LEAST, -INFINITY), iou = operand(e, IOU, 0);
    int64_t kept = 0;
    bool all = !(LEAST < e->n->n_in && e->in[LEAST]);
    for (int64_t i = 0; i < n; i++)
        gone[i] = !all && !(score[i] > least);
    while ((double)kept < most) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (!gone[i] && (best < 0 || score[i] > score[best]))
                best = i;
        if (best < 0)
            break;
        out[3 * kept++ + 2] = best;
        gone[best] = true;
        for (int64_t i = 0; i < n; i++)
            gone[i] = gone[i] || (double)overlap(box + 4 * i, box + 4 * best,
                                                 sc_attr(e->n, CENTER)->i != 0) > iou;
    }
    return kept;
}

static bool eval_nms(ScEval *e)
{
    const ScrtTensor *box = e->in[BOXES], *score = e->in[SCORES];
    int64_t classes = score->dims[1], n = score->dims[2], all = score->dims[0] * classes, rows = 0;
    int64_t *out = e->out[0].data;
    int64_t room = all > 0 ? e->out[0].dims[0] / all : 0;
    double most = fmin(operand(e, WANTED, 0), (double)room);
    ScArena *a = sc_arena_new();
    bool *gone = sc_array(a, bool, (size_t)n + 1);
    for (int64_t i = 0; i < all; i++) {
        int64_t *to = out + 3 * rows;
        int64_t kept = choose(e, (const float *)box->data + i / classes * n * 4,
                              (const float *)score->data + i * n, n, most, gone, to);
        for (int64_t k = 0; k < kept; k++) {
            to[3 * k] = i / classes;
            to[3 * k + 1] = i % classes;
        }
        rows += kept;
    }
    sc_arena_free(a);
    *(uint64_t *)e->out[1].data = (uint64_t)rows;
    return true;
}

static void call_nms(const ScGraph *g, const ScNode *n, ScCall *ret)
{
    ret->callee = SCRT_CALLEE_NON_MAX_SUPPRESSION;
    ret->param[ret->n_param++] = sc_term(g->cx, sc_attr(n, CENTER)->i != 0);
    ret->scratch = sc_term_scale(g->cx, sc_type_of(g, n->in[SCORES])->dim[2], 16);
}

static uint32_t make_nms(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t images = sc_ops_pick(r, 1, 2), classes = sc_ops_pick(r, 1, 3), n = sc_ops_pick(r, 1, 9);
    int64_t wanted = sc_ops_pick(r, 0, 6);
    const ScTerm *most = sc_term(b->cx, sc_ops_pick(r, 0, 1) ? n : wanted < n ? wanted : n);
    ScVal in[] = {sc_ops_input(b, "box", SCRT_F32, 3, (int64_t[]){images, n, 4}),
                  sc_ops_input(b, "score", SCRT_F32, 3, (int64_t[]){images, classes, n}),
                  sc_const_i64(b, 1, &wanted),
                  sc_ops_pick(r, 0, 3) ? sc_const_scalar(b, SCRT_F32, 0.25) : SC_ABSENT,
                  sc_const_scalar(b, SCRT_F32, -2)};
    sc_node(b, &sc_op_non_max_suppression,
            SC_ATTRS(SC_TERMS(1, &most), SC_INT(sc_ops_pick(r, 0, 1))), NULL, sc_ops_pick(r, 3, 5),
            in, 2, ret_out);
    return 2;
}

const ScOp sc_op_non_max_suppression = {
    .name = "non_max_suppression",
    .doc =
        "rows of image, class and box: of each class the boxes of the best scores, without those "
        "that overlap a better one; and, one number, how many rows there are, 0 beyond them",
    .onnx = {"", "NonMaxSuppression", 10},
    .in = "boxes: float, scores: float, max_output_boxes_per_class?: int, iou_threshold?: float, "
          "score_threshold?: float",
    .out = "selected_indices: int, count: int",
    .attr = {{.name = "most",
              .kind = SC_A_TERMS,
              .required = true,
              .doc = "rows of each class that there is room for, one term"},
             {.name = "center_point_box",
              .kind = SC_A_INT,
              .def = SC_INT(0),
              .doc = "1: boxes are center and size; 0: two corners, y first"}},
    .n_attr = 2,
    .infer = infer_nms,
    .scale = "a, b, _, 0, b -> _, _",
    .lower = {SC_CALL},
    .call = call_nms,
    .eval = eval_nms,
    .domain = {.make = make_nms},
};

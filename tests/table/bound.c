/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds: with the ceilings that the operands' data has, no result lies above the row's. */
#include "tests/table/table.h"

#include <math.h>
#include <stdlib.h>

/* Facts of one operand that hold for its data; none where there is an infinity or NaN. */
static void facts(const ScrtTensor *t, int32_t *ret_top, int32_t *ret_least, bool *ret_nonneg)
{
    double most = 0, least = INFINITY;
    *ret_top = *ret_least = SC_NO_TOP;
    *ret_nonneg = true;
    for (int64_t i = 0; i < scrt_count(t); i++) {
        double x = scrt_load((ScrtDtype)t->dtype, t->data, (size_t)i);
        *ret_nonneg = *ret_nonneg && x >= 0;
        most = fmax(most, fabs(x));
        least = fmin(least, fabs(x));
        if (!isfinite(x))
            return;
    }
    *ret_top = most > 0 ? sc_log2_256(most) + 1 : -(1 << 20);
    *ret_least = least > 0 && isfinite(least) ? sc_log2_256(least) - 1 : SC_NO_TOP;
}

const char *check_bound(const ScOp *op, uint64_t seed)
{
    static int32_t top[64], least[64], ret[SC_MAX_OUT];
    static bool nonneg[64];
    Case c;
    const char *why = case_make(&c, op, seed);
    if (why || c.n->n_in > 64 || (op->flags & SC_REBALANCES)) { /* those move data, not numbers */
        case_free(&c);
        return why;
    }
    for (uint32_t i = 0; i < c.n->n_in; i++) {
        top[i] = least[i] = SC_NO_TOP;
        nonneg[i] = false;
        if (c.in[i].data && scrt_dtype_is_float((ScrtDtype)c.in[i].dtype))
            facts(&c.in[i], &top[i], &least[i], &nonneg[i]);
    }
    sc_row_top(
        &(ScTop){.g = c.g, .n = c.n, .in = top, .least = least, .nonneg = nonneg, .ret = ret});
    for (uint32_t k = 0; k < c.n->n_out && !why; k++)
        for (int64_t i = 0; i < scrt_count(&c.out[k]) && ret[k] != SC_NO_TOP; i++) {
            ScrtDtype t = (ScrtDtype)c.out[k].dtype;
            double x = scrt_dtype_is_float(t) ? scrt_load(t, c.out[k].data, (size_t)i) : 0;
            double most = exp2(ret[k] / 256.0) *
                          (1 + ldexp(1, scrt_format(t) ? -scrt_format(t)->man_bits : 0));
            if (fabs(x) > most) {
                why = say("%s: result %u holds %g, above its bound of %g", op->name, k, x, most);
                break;
            }
        }
    case_free(&c);
    return why;
}

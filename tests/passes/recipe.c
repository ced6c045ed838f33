/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes that say what cannot be: each is refused by its line and word. */
#include "tests/passes/scale_util.h"

static ScCtx *cx;

static void setup(void)
{
    cx = sc_ctx_new();
}

static void teardown(void)
{
    sc_ctx_free(cx);
}

START_TEST(recipes_that_are_refused)
{
    static const char *const bad[][2] = {
        {"colour = red\n", "not a setting of recipes: 'colour'"},
        {"name = x\nweight = f8e9m9\n", "not a format: 'f8e9m9'"},
        {"weight = i8\n", "operands cannot be stored as 'i8'"},
        {"round = up\n", "round is growth or down, not 'up'"},
        {"rows = i4\n", "rows are i8, i16 or f32, not 'i4'"},
        {"bias = none\n", "bias is corrected or kept, not 'none'"},
        {"layer weight=f32\n", "expected a pattern in quotes after 'layer'"},
        {"layer \"a\" bias=f32\n", "a layer has activation, weight, scale and scales, not 'bias'"},
        {"site a format=f32\n", "expected a pattern in quotes after 'site'"},
        {"site \"a\" scale=tensor\n", "a site has format, not 'scale'"},
        {"site \"a\" format=f4e2m1\n", "a site is not by blocks, as is asked of 'f4e2m1'"},
        {"layer \"a\" scale=row\n", "scale is tensor, channel or block, not 'row'"},
        {"weight = f4e2m1\nscale = channel\n", "f4e2m1 is for weights with scale block"},
        {"activation = f6e2m3\nscale = block\n", "f6e2m3 is for weights with scale block"},
        {"weight = f4e2m1\nscale = block\nlayer \"a\" scale=tensor\n", "f4e2m1 is for weights"},
        {"scales = probe\n", "scales are static, dynamic, dynamic-rows or delayed, not 'probe'"},
        {"window = 0\n", "window is 1 to 1024, not '0'"},
        {"margin = 1e2\n", "margin is 0 to 16, not '1e2'"},
        {"rescale add\n", "expected a pattern in quotes after 'rescale'"},
        {"activation f32\n", "expected '=' before 'f32'"},
        {"weight = f32 f16\n", "more than expected after 'weight'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *path = st_recipe(bad[i][0]);
        sc_clear_diags(cx);
        const ScRecipe *r = sc_recipe(cx, path);
        unlink(path);
        ck_assert_msg(r == NULL, "accepted: %s", bad[i][0]);
        st_said(cx, bad[i][1]);
        st_said(cx, "E0302");
    }
    sc_clear_diags(cx);
    ck_assert_ptr_null(sc_recipe(cx, "fp8-train"));
    st_said(cx, "fp8-train");
    st_said(cx, "this version does not have");
    sc_clear_diags(cx);
    ck_assert_ptr_null(sc_recipe(cx, "fp9"));
    st_said(cx, "no recipe is called 'fp9'");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("recipe");
    TCase *t = tcase_create("recipe");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, recipes_that_are_refused);
    suite_add_tcase(s, t);
    return sct_main("passes-recipe", s);
}

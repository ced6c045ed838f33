; run: raise
; idempotent
; rtol 1e-6
graph @llama(%q: f32[2,4,3,4], %k: f32[2,2,3,4], %v: f32[2,2,3,4], %seen: bool[2,1,3,3]) -> (%y) {
  %1 = reshape %k : f32[2,2,1,3,4] from "unsqueeze"
  %2 = expand %1 : f32[2,2,2,3,4] from "expand"
  %3 = reshape %v : f32[2,2,1,3,4] from "unsqueeze_1"
  %4 = expand %3 : f32[2,2,2,3,4] from "expand_1"
  %5 = reshape %4 : f32[2,4,3,4] from "view"
  %6 = reshape %2 : f32[8,3,4] from "val_143"
  %7 = transpose %6 {perm = [0,2,1]} : f32[8,4,3] from "val_144"
  %8 = reshape %7 : f32[2,4,4,3] from "val_146"
  %9 = const 0.70710677 : f32[]
  %10 = mul %q, %9 : f32[2,4,3,4] from "val_148"
  %11 = mul %8, %9 : f32[2,4,4,3] from "val_150"
  %12 = const 0 : f32[]
  %13 = const -inf : f32[]
  %14 = where %seen, %12, %13 : f32[2,1,3,3] from "val_153"
  %15 = matmul %10, %11 : f32[2,4,3,3] from "val_154"
  %16 = add %15, %14 : f32[2,4,3,3] from "val_155"
  %17 = const 1 : f32[]
  %18 = softmax %16, %17 {axis = 3} : f32[2,4,3,3] from "val_156"
  %19 = isnan %18 : bool[2,4,3,3] from "val_157"
  %20 = where %19, %12, %18 : f32[2,4,3,3] from "val_158"
  %y = matmul %20, %5 : f32[2,4,3,4] from "scaled_dot_product_attention"
}
; --- heads of k and v that are repeated are shared; half of the scale stands on either side; NaN becomes 0
graph @llama(%q: f32[2,4,3,4], %k: f32[2,2,3,4], %v: f32[2,2,3,4], %seen: bool[2,1,3,3]) -> (%y) {
  %6 = const 0 : f32[]
  %7 = const -inf : f32[]
  %8 = where %seen, %6, %7 : f32[2,1,3,3] from "val_153"
  %9 = const 0.49999997 : f32[] from "scaled_dot_product_attention", "val_158", "val_157", "val_156", "val_155", "val_154", "val_148", "val_150"
  %y = attention %q, %k, %v, %9, %8 {zeros = 2} : f32[2,4,3,4] from "scaled_dot_product_attention", "val_158", "val_157", "val_156", "val_155", "val_154", "val_148", "val_150"
}

; run: raise
; idempotent
; rtol 1e-6
graph @gpt2(%q: f32[1,2,3,4], %k: f32[1,2,3,4], %v: f32[1,2,3,4], %pk: f32[1,2,2,4], %pv: f32[1,2,2,4], %m: f32[1,1,1,5], %causal: bool[1,1,3,5]) -> (%y, %present, %kept) {
  %present = concat %pk, %k {axis = -2} : f32[1,2,5,4] from "attn/Concat"
  %kept = concat %pv, %v {axis = -2} : f32[1,2,5,4] from "attn/Concat_1"
  %1 = transpose %present {perm = [0,1,3,2]} : f32[1,2,4,5] from "attn/Transpose"
  %2 = matmul %q, %1 : f32[1,2,3,5] from "attn/MatMul"
  %3 = const 8 : f32[]
  %4 = div %2, %3 : f32[1,2,3,5] from "attn/Div"
  %5 = const -3.4028235e+38 : f32[]
  %6 = where %causal, %4, %5 : f32[1,2,3,5] from "attn/Where"
  %7 = add %6, %m : f32[1,2,3,5] from "attn/Add"
  %8 = const 1 : f32[]
  %9 = softmax %7, %8 {axis = 3} : f32[1,2,3,5] from "attn/Softmax"
  %y = matmul %9, %kept : f32[1,2,3,4] from "attn/MatMul_1"
}
; --- a cache lies in front; what is not kept gets a number, then the mask is added
graph @gpt2(%q: f32[1,2,3,4], %k: f32[1,2,3,4], %v: f32[1,2,3,4], %pk: f32[1,2,2,4], %pv: f32[1,2,2,4], %m: f32[1,1,1,5], %causal: bool[1,1,3,5]) -> (%y, %present, %kept) {
  %present = concat %pk, %k {axis = -2} : f32[1,2,5,4] from "attn/Concat"
  %kept = concat %pv, %v {axis = -2} : f32[1,2,5,4] from "attn/Concat_1"
  %11 = const 0.125 : f32[] from "attn/MatMul_1", "attn/Softmax", "attn/Add", "attn/Where", "attn/Div", "attn/MatMul"
  %y = attention %q, %present, %kept, %11, %m, %causal {fill = -3.4028235e+38f} : f32[1,2,3,4] from "attn/MatMul_1", "attn/Softmax", "attn/Add", "attn/Where", "attn/Div", "attn/MatMul"
}

; run: raise
; idempotent
; rtol 1e-6
graph @mha(%q: f32[3,6,4], %k: f32[5,6,4], %v: f32[5,6,4], %hide: bool[2,1,1,5], %c: bool[3,5]) -> (%y, %z) {
  %1 = transpose %q {perm = [1,0,2]} : f32[6,3,4] from "q"
  %2 = transpose %k {perm = [1,2,0]} : f32[6,4,5] from "k"
  %3 = transpose %v {perm = [1,0,2]} : f32[6,5,4] from "v"
  %4 = const 0.5 : f32[]
  %5 = mul %1, %4 : f32[6,3,4] from "scaled"
  %6 = matmul %5, %2 : f32[6,3,5] from "bmm"
  %7 = reshape %6 : f32[2,3,3,5] from "view"
  %8 = const -inf : f32[]
  %9 = where %hide, %8, %7 : f32[2,3,3,5] from "masked_fill"
  %10 = reshape %9 : f32[6,3,5] from "view_1"
  %11 = const 1 : f32[]
  %12 = softmax %10, %11 {axis = 2} : f32[6,3,5] from "softmax"
  %y = matmul %12, %3 : f32[6,3,4] from "bmm_1"
  %13 = const 30 : f32[]
  %14 = div %6, %13 : f32[6,3,5] from "Div"
  %15 = tanh %14 : f32[6,3,5] from "Tanh"
  %16 = mul %15, %13 : f32[6,3,5] from "softcap"
  %17 = const -1e9 : f32[]
  %18 = where %c, %16, %17 : f32[6,3,5] from "Where"
  %19 = softmax %18, %11 {axis = -1} : f32[6,3,5] from "softmax_1"
  %z = matmul %19, %3 : f32[6,3,4] from "bmm_2"
}
; --- heads are joined with the batch; what is hidden is not kept; scores are capped
graph @mha(%q: f32[3,6,4], %k: f32[5,6,4], %v: f32[5,6,4], %hide: bool[2,1,1,5], %c: bool[3,5]) -> (%y, %z) {
  %7 = transpose %q {perm = [1,0,2]} : f32[6,3,4] from "q"
  %8 = transpose %k {perm = [1,2,0]} : f32[6,4,5] from "k"
  %9 = transpose %v {perm = [1,0,2]} : f32[6,5,4] from "v"
  %10 = not %hide : bool[2,1,1,5] from "bmm_1", "softmax", "view_1", "masked_fill", "view", "bmm", "scaled"
  %11 = reshape %8 : f32[2,3,4,5] from "bmm_1", "softmax", "view_1", "masked_fill", "view", "bmm", "scaled"
  %12 = transpose %11 {perm = [0,1,3,2]} : f32[2,3,5,4] from "bmm_1", "softmax", "view_1", "masked_fill", "view", "bmm", "scaled"
  %13 = reshape %9 : f32[2,3,5,4] from "bmm_1", "softmax", "view_1", "masked_fill", "view", "bmm", "scaled"
  %14 = reshape %7 : f32[2,3,3,4] from "bmm_1", "softmax", "view_1", "masked_fill", "view", "bmm", "scaled"
  %15 = const 0.5 : f32[]
  %16 = attention %14, %12, %13, %15, _, %10 : f32[2,3,3,4] from "bmm_1", "softmax", "view_1", "masked_fill", "view", "bmm", "scaled"
  %y = reshape %16 : f32[6,3,4] from "bmm_1", "softmax", "view_1", "masked_fill", "view", "bmm", "scaled"
  %18 = reshape %12 : f32[6,1,5,4] from "bmm_2", "softmax_1", "Where", "softcap", "Tanh", "Div", "bmm", "scaled", "k"
  %19 = reshape %9 : f32[6,1,5,4] from "bmm_2", "softmax_1", "Where", "softcap", "Tanh", "Div", "bmm", "scaled"
  %20 = reshape %7 : f32[6,1,3,4] from "bmm_2", "softmax_1", "Where", "softcap", "Tanh", "Div", "bmm", "scaled"
  %21 = attention %20, %18, %19, %15, _, %c {softcap = 30, fill = -1e+09} : f32[6,1,3,4] from "bmm_2", "softmax_1", "Where", "softcap", "Tanh", "Div", "bmm", "scaled"
  %z = reshape %21 : f32[6,3,4] from "bmm_2", "softmax_1", "Where", "softcap", "Tanh", "Div", "bmm", "scaled"
}

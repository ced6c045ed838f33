; run: raise
; idempotent
; rtol 1e-5
graph @stored(%q: f8e4m3fn[2,2,3,4], %k: f8e4m3fn[2,2,5,4], %v: f8e4m3fn[2,2,5,4], %seen: f32[3,5], %wide: f32[2,2,5,4]) -> (%y, %z, %w) {
  %s = const 0.25 : f32[]
  %half = const 0.5 : f32[]
  %1 = cast %q : f32[2,2,3,4] from "query"
  %2 = mul %1, %s : f32[2,2,3,4] from "query"
  %3 = cast %k : f32[2,2,5,4] from "key"
  %4 = mul %3, %s : f32[2,2,5,4] from "key"
  %5 = cast %v : f32[2,2,5,4] from "value"
  %6 = mul %5, %half : f32[2,2,5,4] from "value"
  %7 = transpose %4 {perm = [0,1,3,2]} : f32[2,2,4,5] from "turned"
  %8 = matmul %2, %7 : f32[2,2,3,5] from "scores"
  %9 = mul %8, %half : f32[2,2,3,5] from "scale"
  %10 = add %9, %seen : f32[2,2,3,5] from "mask"
  %one = const 1 : f32[]
  %11 = softmax %10, %one {axis = 3} : f32[2,2,3,5] from "softmax"
  %y = matmul %11, %6 : f32[2,2,3,4] from "product"
  %13 = softmax %8, %one {axis = 3} : f32[2,2,3,5] from "softmax_1"
  %z = matmul %13, %wide : f32[2,2,3,4] from "product_1"
  %15 = transpose %wide {perm = [0,1,3,2]} : f32[2,2,4,5] from "turned_1"
  %16 = matmul %2, %15 : f32[2,2,3,5] from "scores_1"
  %17 = softmax %16, %one {axis = 3} : f32[2,2,3,5] from "softmax_2"
  %w = matmul %17, %5 : f32[2,2,3,4] from "product_2"
}
; --- q and k as they are stored, one of them or v in f32; what v is multiplied by stands behind
graph @stored(%q: f8e4m3fn[2,2,3,4], %k: f8e4m3fn[2,2,5,4], %v: f8e4m3fn[2,2,5,4], %seen: f32[3,5], %wide: f32[2,2,5,4]) -> (%y, %z, %w) {
  %7 = const 0.03125 : f32[] from "product", "softmax", "mask", "scale", "scores", "query", "key", "value"
  %8 = attention %q, %k, %v, %7, %seen : f32[2,2,3,4] from "product", "softmax", "mask", "scale", "scores", "query", "key", "value"
  %half = const 0.5 : f32[]
  %y = mul %8, %half : f32[2,2,3,4] from "product", "softmax", "mask", "scale", "scores", "query", "key", "value"
  %11 = const 0.0625 : f32[] from "scores", "query", "key"
  %z = attention %q, %k, %wide, %11 : f32[2,2,3,4] from "product_1", "softmax_1", "scores", "query", "key"
  %s = const 0.25 : f32[]
  %w = attention %q, %wide, %v, %s : f32[2,2,3,4] from "product_2", "softmax_2", "scores_1", "query", "value"
}

; run: raise
; idempotent
; rtol 1e-5
graph @stored(%q: f8e4m3fn[batch,4,n,8], %k: f8e4m3fn[batch,2,n,8], %v: f8e4m3fn[batch,2,n,8], %seen: f32[batch,1,n,n]) -> (%y, %z, %r) {
  %s = const 0.25 : f32[]
  %one = const 1 : f32[]
  %1 = reshape %q {shape = [batch,2,2,n,8]} : f8e4m3fn[batch,2,2,n,8] from "query"
  %2 = transpose %k {perm = [0,1,3,2]} : f8e4m3fn[batch,2,8,n] from "key"
  %3 = reshape %2 {shape = [batch,2,1,8,n]} : f8e4m3fn[batch,2,1,8,n] from "key"
  %4 = cast %1 {to = f32} : f32[batch,2,2,n,8] from "query"
  %5 = cast %3 {to = f32} : f32[batch,2,1,8,n] from "key"
  %6 = matmul %4, %5 : f32[batch,2,2,n,n] from "scores"
  %7 = reshape %6 {shape = [batch,4,n,n]} : f32[batch,4,n,n] from "joined"
  %8 = mul %7, %s : f32[batch,4,n,n] from "scale"
  %9 = add %8, %seen : f32[batch,4,n,n] from "mask"
  %10 = softmax %9, %one {axis = 3} : f32[batch,4,n,n] from "softmax"
  %11 = reshape %10 {shape = [batch,2,2,n,n]} : f32[batch,2,2,n,n] from "split"
  %12 = reshape %v {shape = [batch,2,1,n,8]} : f8e4m3fn[batch,2,1,n,8] from "value"
  %13 = cast %12 {to = f32} : f32[batch,2,1,n,8] from "value"
  %14 = matmul %11, %13 : f32[batch,2,2,n,8] from "product"
  %y = reshape %14 {shape = [batch,4,n,8]} : f32[batch,4,n,8] from "heads"
  %16 = softmax %6, %one {axis = 4} : f32[batch,2,2,n,n] from "softmax_1"
  %z = matmul %16, %13 : f32[batch,2,2,n,8] from "product_1"
  %18 = cast %v {to = f32} : f32[batch,2,n,8]
  %19 = reshape %18 {shape = [batch,1,2,n,8]} : f32[batch,1,2,n,8] from "of other groups"
  %21 = mul %6, %s : f32[batch,2,2,n,n] from "scale_1"
  %20 = softmax %21, %one {axis = 4} : f32[batch,2,2,n,n] from "softmax_2"
  %r = matmul %20, %19 : f32[batch,2,2,n,8] from "product_2"
}
; --- heads of k and v that lie beside a group's axis are read as those of attention; but not those of other groups
graph @stored(%q: f8e4m3fn[batch,4,n,8], %k: f8e4m3fn[batch,2,n,8], %v: f8e4m3fn[batch,2,n,8], %seen: f32[batch,1,n,n]) -> (%y, %z, %r) {
  %6 = reshape %q : f8e4m3fn[batch,2,2,n,8] from "query"
  %7 = transpose %k {perm = [0,1,3,2]} : f8e4m3fn[batch,2,8,n] from "key"
  %8 = reshape %7 : f8e4m3fn[batch,2,1,8,n] from "key"
  %9 = matmul %6, %8 : f32[batch,2,2,n,n] from "scores", "query", "key"
  %s = const 0.25 : f32[]
  %y = attention %q, %k, %v, %s, %seen : f32[batch,4,n,8] from "product", "split", "softmax", "mask", "scale", "joined", "scores", "query", "key", "value"
  %one = const 1 : f32[]
  %13 = attention %q, %k, %v, %one : f32[batch,4,n,8] from "product_1", "softmax_1", "scores", "query", "key", "value"
  %z = reshape %13 : f32[batch,2,2,n,8] from "product_1", "softmax_1", "scores", "query", "key", "value"
  %15 = mul %9, %s : f32[batch,2,2,n,n] from "scale_1"
  %16 = softmax %15, %one {axis = 4} : f32[batch,2,2,n,n] from "softmax_2"
  %17 = reshape %v : f8e4m3fn[batch,1,2,n,8] from "product_2", "softmax_2", "scale_1", "scores", "query", "key"
  %r = matmul %16, %17 : f32[batch,2,2,n,8] from "product_2"
}

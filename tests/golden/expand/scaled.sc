; run: expand
; idempotent
; rtol 1e-6
graph @g(%x: f32[2,5] * 2^3) -> (%y) {
  %one = const 1 : f32[] * 2^-3
  %half = const 0.5 : f32[]
  %1 = softmax %x, %one {axis = 1} : f32[2,5] from "Softmax"
  %g = const [1,2,3,4,5] : f32[5] * 2^1
  %eps = const 0.5 : f32[]
  %b = const 0 : f32[] * 2^1
  %2 = layernorm %1, %g, %b, %eps : f32[2,5] * 2^1 from "Norm"
  %y = rebalance %2, 0 : f32[2,5]
}
; --- every node of an expansion has the exponent of its signature
graph @g(%x: f32[2,5] * 2^3) -> (%y) {
  %3 = rebalance %x, 0 : f32[2,5] from "Softmax"
  %4 = reduce_max %3 {axes = [1]} : f32[2,1] from "Softmax"
  %5 = sub %3, %4 : f32[2,5] from "Softmax"
  %6 = exp %5 : f32[2,5] from "Softmax"
  %7 = reduce_sum %6 {axes = [1]} : f32[2,1] from "Softmax"
  %8 = div %6, %7 : f32[2,5] from "Softmax"
  %9 = reduce_mean %8 {axes = [1]} : f32[2,1] from "Norm"
  %10 = sub %8, %9 : f32[2,5] from "Norm"
  %11 = mul %10, %10 : f32[2,5] from "Norm"
  %12 = reduce_mean %11 {axes = [1]} : f32[2,1] from "Norm"
  %half = const 0.5 : f32[]
  %14 = add %12, %half : f32[2,1] from "Norm"
  %15 = sqrt %14 : f32[2,1] from "Norm"
  %16 = reciprocal %15 : f32[2,1] from "Norm"
  %17 = mul %10, %16 : f32[2,5] from "Norm"
  %g = const [1,2,3,4,5] : f32[5] * 2^1
  %19 = mul %17, %g : f32[2,5] * 2^1 from "Norm"
  %y = rebalance %19, 0 : f32[2,5]
}

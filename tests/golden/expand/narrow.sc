; run: expand
; idempotent
; rtol 4e-3
graph @g(%x: bf16[2,5], %h: f16[4]) -> (%y, %z) {
  %one = const 1 : bf16[]
  %y = softmax %x, %one {axis = 1} : bf16[2,5] from "Softmax"
  %half = const 1 : f16[]
  %z = silu %h, %half : f16[4] from "Swish"
}
; --- in f32, rounded once
graph @g(%x: bf16[2,5], %h: f16[4]) -> (%y, %z) {
  %4 = cast %x : f32[2,5] from "Softmax"
  %5 = reduce_max %4 {axes = [1]} : f32[2,1] from "Softmax"
  %6 = sub %4, %5 : f32[2,5] from "Softmax"
  %7 = exp %6 : f32[2,5] from "Softmax"
  %8 = reduce_sum %7 {axes = [1]} : f32[2,1] from "Softmax"
  %9 = div %7, %8 : f32[2,5] from "Softmax"
  %y = cast %9 : bf16[2,5] from "Softmax"
  %11 = cast %h : f32[4] from "Swish"
  %12 = sigmoid %11 : f32[4] from "Swish"
  %13 = mul %11, %12 : f32[4] from "Swish"
  %z = cast %13 : f16[4] from "Swish"
}

; run: expand
; idempotent
; rtol 1e-6
graph @g(%x: f32[2,5]) -> (%y) {
  %one = const 1 : f32[]
  %y = softmax %x, %one {axis = 1} : f32[2,5] from "Softmax"
}
; --- a temperature of 1 costs nothing
graph @g(%x: f32[2,5]) -> (%y) {
  %3 = reduce_max %x {axes = [1]} : f32[2,1] from "Softmax"
  %4 = sub %x, %3 : f32[2,5] from "Softmax"
  %5 = exp %4 : f32[2,5] from "Softmax"
  %6 = reduce_sum %5 {axes = [1]} : f32[2,1] from "Softmax"
  %y = div %5, %6 : f32[2,5] from "Softmax"
}

; run: raise
; idempotent
; rtol 1e-6
graph @g(%x: f32[2,5]) -> (%y, %z) {
  %1 = reduce_max %x {axes = [1]} : f32[2,1] from "ReduceMax"
  %2 = sub %x, %1 : f32[2,5] from "Sub"
  %3 = exp %2 : f32[2,5] from "Exp"
  %4 = reduce_sum %3 {axes = [1]} : f32[2,1] from "ReduceSum"
  %y = div %3, %4 : f32[2,5] from "Div"
  %5 = reduce_sum %3 {axes = [0]} : f32[1,5] from "over the other axis"
  %z = div %3, %5 : f32[2,5] from "no softmax"
}
; --- the whole idiom is one node; over two axes it is none
graph @g(%x: f32[2,5]) -> (%y, %z) {
  %3 = reduce_max %x {axes = [1]} : f32[2,1] from "ReduceMax"
  %4 = sub %x, %3 : f32[2,5] from "Sub"
  %5 = exp %4 : f32[2,5] from "Exp"
  %6 = const 1 : f32[] from "Div", "ReduceSum", "Exp", "Sub", "ReduceMax"
  %y = softmax %x, %6 {axis = 1} : f32[2,5] from "Div", "ReduceSum", "Exp", "Sub", "ReduceMax"
  %8 = reduce_sum %5 {axes = [0]} : f32[1,5] from "over the other axis"
  %z = div %5, %8 : f32[2,5] from "no softmax"
}

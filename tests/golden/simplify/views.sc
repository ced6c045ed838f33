; run: simplify
; idempotent
graph @g(%x: f32[n,28,28,1], %y: f32[2,3,4]) -> (%a, %b, %c, %d, %e) {
  %1 = transpose %x {perm = [0,3,1,2]} : f32[n,1,28,28] from "nhwc to nchw"
  %2 = flatten %1 {axis = 1} : f32[n,784] from "flatten"
  %a = exp %2 : f32[n,784] from "a"
  %3 = unsqueeze %y {axes = [0]} : f32[1,2,3,4] from "unsqueeze"
  %4 = squeeze %3 {axes = [0]} : f32[2,3,4] from "squeeze"
  %b = exp %4 : f32[2,3,4] from "b"
  %5 = transpose %y {perm = [2,0,1]} : f32[4,2,3] from "t1"
  %6 = transpose %5 {perm = [2,1,0]} : f32[3,2,4] from "t2"
  %c = exp %6 : f32[3,2,4] from "c"
  %7 = transpose %6 {perm = [1,0,2]} : f32[2,3,4] from "t3"
  %d = tanh %7 : f32[2,3,4] from "d"
  %8 = reshape %y : f32[4,6] from "r1"
  %9 = transpose %8 : f32[6,4] from "t4"
  %e = reshape %9 : f32[2,12] from "r2"
}
; --- views that keep the order are one reshape or none; others stay
graph @g(%x: f32[n,28,28,1], %y: f32[2,3,4]) -> (%a, %b, %c, %d, %e) {
  %4 = reshape %x : f32[n,784] from "flatten", "nhwc to nchw"
  %a = exp %4 : f32[n,784] from "a"
  %b = exp %y : f32[2,3,4] from "b"
  %7 = transpose %y {perm = [1,0,2]} : f32[3,2,4] from "t2"
  %c = exp %7 : f32[3,2,4] from "c"
  %d = tanh %y : f32[2,3,4] from "d"
  %10 = reshape %y : f32[4,6] from "r1"
  %11 = transpose %10 : f32[6,4] from "t4"
  %e = reshape %11 : f32[2,12] from "r2"
}

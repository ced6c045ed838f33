; run: simplify
; idempotent
graph @g(%x: f32[n,6,4], %y: f32[n,2,4]) -> (%a, %b, %c) {
  %1 = slice %x {starts = [0], ends = [3], axes = [1], steps = [1]} : f32[n,3,4] from "first"
  %2 = slice %x {starts = [-3], ends = [9223372036854775807], axes = [1], steps = [1]} : f32[n,3,4] from "second"
  %3 = neg %2 : f32[n,3,4] from "neg"
  %a = concat %1, %2, %y, %3 {axis = 1} : f32[n,11,4] from "a"
  %b = concat %2, %1 {axis = 1} : f32[n,6,4] from "b"
  %c = concat %1, %2 {axis = 2} : f32[n,3,8] from "c"
}
; --- what was split is put together again, where all pieces stand in order
graph @g(%x: f32[n,6,4], %y: f32[n,2,4]) -> (%a, %b, %c) {
  %4 = slice %x {starts = [0], ends = [3], axes = [1], steps = [1]} : f32[n,3,4] from "first"
  %5 = slice %x {starts = [-3], ends = [9223372036854775807], axes = [1], steps = [1]} : f32[n,3,4] from "second"
  %6 = neg %5 : f32[n,3,4] from "neg"
  %a = concat %x, %y, %6 {axis = 1} : f32[n,11,4] from "a"
  %b = concat %5, %4 {axis = 1} : f32[n,6,4] from "b"
  %c = concat %4, %5 {axis = 2} : f32[n,3,8] from "c"
}

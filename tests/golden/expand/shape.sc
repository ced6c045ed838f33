; run: expand
; idempotent
graph @g(%x: f32[n], %y: f32[m,2,n]) -> (%s, %t, %u) {
  %s = shape %x : i64[1] from "first"
  %1 = relu %y : f32[m,2,n] from "not needed"
  %t = shape %1 : i64[3] from "second"
  %u = shape %x {start = 1} : i64[0] from "nothing"
}
; --- extents are computed when the model runs, without the data that has them
graph @g(%x: f32[n], %y: f32[m,2,n]) -> (%s, %t, %u) {
  %s = term {value = [n]} : i64[1] from "first"
  %5 = term {value = [m]} : i64[1] from "second"
  %6 = const [2] : i64[1] from "second"
  %t = concat %5, %6, %s {axis = 0} : i64[3] from "second"
  %u = const [] : i64[0] from "nothing"
}

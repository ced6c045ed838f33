; run: expand
; error: E0401 shape
; error: E0401 shape
graph @g(%x: f32[n], %y: f32[m,2]) -> (%s, %t) {
  %s = shape %x : i64[1] from "first"
  %t = shape %y : i64[2] from "second"
}

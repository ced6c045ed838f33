; run: fold
; idempotent
graph @g(%x: f32[batch,3,4]) -> (%n, %y) {
  %s = shape %x : i64[3] from "Shape"
  %n = slice %s {starts = [1], ends = [3], axes = [0]} : i64[2] from "Slice"
  %t = const [10,20] : i64[2]
  %y = add %n, %t : i64[2] from "Add"
}
; --- extents that are numbers are constants, though the tensor is none
graph @g(%x: f32[batch,3,4]) -> (%n, %y) {
  %n = const [3,4] : i64[2] from "Slice"
  %y = const [13,24] : i64[2] from "Add"
}

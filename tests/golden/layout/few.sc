; run: layout
graph @g(%x: f32[1,3,8,8], %w: f32[32,3,3,3]) -> (%y, %z) {
  %v = const @v : f32[8,3,3,3]
  %y = conv %x, %v : f32[1,8,6,6] from "few"
  %z = conv %x, %w : f32[1,32,6,6] from "computed"
}
; --- 8 channels are fewer than a vector; weights that are computed cannot be packed
graph @g(%x: f32[1,3,8,8], %w: f32[32,3,3,3]) -> (%y, %z) {
  %v = const @v : f32[8,3,3,3]
  %y = conv %x, %v : f32[1,8,6,6] from "few"
  %z = conv %x, %w : f32[1,32,6,6] from "computed"
}

; run: layout
graph @g(%x: f32[n,3,8,8], %s: f32[32,1,1]) -> (%y, %z) {
  %w = const @w : f32[32,3,3,3]
  %v = const @v : f32[32,1,3,3]
  %a = conv %x, %w {pads = [1,1,1,1]} : f32[n,32,8,8] from "a"
  %b = mul %a, %s : f32[n,32,8,8] from "b"
  %c = conv %b, %v {strides = [2,2], pads = [1,1,1,1], group = 32} : f32[n,32,4,4] from "c"
  %d = maxpool %a {kernel_shape = [2,2], strides = [2,2]} : f32[n,32,4,4] from "d"
  %e = concat %c, %d {axis = 1} : f32[n,64,4,4] from "e"
  %y = relu %e : f32[n,64,4,4] from "y"
  %z = reshape %d {shape = [n,512]} : f32[n,512] from "z"
}
; --- batch and spatial extents first, channels last, until somebody asks otherwise
graph @g(%x: f32[n,3,8,8], %s: f32[32,1,1]) -> (%16 as y, %z) {
  %4 = transpose %x {perm = [0,2,3,1]} : f32[n,8,8,3] from "a"
  %w = const @w : f32[32,3,3,3]
  %a = conv %4, %w {pads = [1,1,1,1], channels_last = 1} : f32[n,8,8,32] from "a"
  %7 = reshape %s : f32[1,1,1,32] from "b"
  %b = mul %a, %7 : f32[n,8,8,32] from "b"
  %v = const @v : f32[32,1,3,3]
  %c = conv %b, %v {strides = [2,2], pads = [1,1,1,1], group = 32, channels_last = 1} : f32[n,4,4,32] from "c"
  %d = maxpool %a {kernel_shape = [2,2], strides = [2,2], channels_last = 1} : f32[n,4,4,32] from "d"
  %e = concat %c, %d {axis = 3} : f32[n,4,4,64] from "e"
  %y = relu %e : f32[n,4,4,64] from "y"
  %14 = transpose %d {perm = [0,3,1,2]} : f32[n,32,4,4] from "d"
  %z = reshape %14 : f32[n,512] from "z"
  %16 = transpose %y {perm = [0,3,1,2]} : f32[n,64,4,4] from "y"
}

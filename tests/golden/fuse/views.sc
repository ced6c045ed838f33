; run: fuse
graph @g(%x: f32[2,3,4]) -> (%a, %b, %c, %d) {
  %1 = transpose %x {perm = [2,1,0]} : f32[4,3,2] from "t"
  %2 = reshape %1 : f32[12,2] from "r"
  %a = exp %2 : f32[12,2] from "a"
  %b = reshape %x : f32[6,4] from "b"
  %3 = slice %x {starts = [1], ends = [3], axes = [1]} : f32[2,2,4] from "s"
  %c = concat %3, %x {axis = 1} : f32[2,5,4] from "c"
  %d = neg %3 : f32[2,2,4] from "d"
}
; --- a view is a kernel of its own where strides cannot say the chain or a buffer is needed
graph @g(%x: f32[2,3,4]) -> (%a, %b, %c, %d) {
  %3 = kernel %x {class = view} : f32[4,3,2] from "t"
    graph @view(%2: f32[2,3,4]) -> (%3 as y0) {
      %3 = transpose %2 {perm = [2,1,0]} : f32[4,3,2]
    }
  %a = kernel %3 {class = map} : f32[12,2] from "r", "a"
    graph @map(%2: f32[4,3,2]) -> (%4 as y0) {
      %3 = reshape %2 : f32[12,2]
      %4 = exp %3 : f32[12,2]
    }
  %5 = kernel %x {class = view} : f32[2,2,4] from "s"
    graph @view(%2: f32[2,3,4]) -> (%3 as y0) {
      %3 = slice %2 {starts = [1], ends = [3], axes = [1]} : f32[2,2,4]
    }
  %c = kernel %5, %x {class = concat} : f32[2,5,4] from "c"
    graph @concat(%2: f32[2,2,4], %3: f32[2,3,4]) -> (%4 as y0) {
      %4 = concat %2, %3 {axis = 1} : f32[2,5,4]
    }
  %d = kernel %5 {class = map} : f32[2,2,4] from "d"
    graph @map(%2: f32[2,2,4]) -> (%3 as y0) {
      %3 = neg %2 : f32[2,2,4]
    }
  %b = kernel %x {class = view} : f32[6,4] from "b"
    graph @view(%2: f32[2,3,4]) -> (%3 as y0) {
      %3 = reshape %2 : f32[6,4]
    }
}

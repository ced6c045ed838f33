; run: fuse
graph @g(%ids: i64[n,5], %pos: f32[5,16], %x: f32[2,n,4]) -> (%y, %z) {
  %w = const @w : f16[40,16]
  %1 = gather %w, %ids : f16[n,5,16] from "Embedding"
  %2 = cast %1 : f32[n,5,16] from "Cast"
  %y = add %2, %pos : f32[n,5,16] from "Add"
  %3 = const [-1,0] : i32[2]
  %4 = transpose %x {perm = [1,0,2]} : f32[n,2,4] from "t"
  %z = gather %4, %3 {axis = 1} : f32[n,2,4] from "Gather"
}
; --- the table stays a constant as it is stored; views go to the data, elementwise nodes to the end
graph @g(%ids: i64[n,5], %pos: f32[5,16], %x: f32[2,n,4]) -> (%y, %z) {
  %w = const @w : f16[40,16]
  %y = kernel %w, %ids, %pos {class = gather} : f32[n,5,16] from "Embedding", "Cast", "Add"
    graph @gather(%2: f16[40,16], %3: i64[n,5], %4: f32[5,16]) -> (%7 as y0) {
      %5 = gather %2, %3 : f16[n,5,16]
      %6 = cast %5 : f32[n,5,16]
      %7 = add %6, %4 : f32[n,5,16]
    }
  %7 = const [-1,0] : i32[2]
  %z = kernel %x, %7 {class = gather} : f32[n,2,4] from "t", "Gather"
    graph @gather(%2: f32[2,n,4], %3: i32[2]) -> (%5 as y0) {
      %4 = transpose %2 {perm = [1,0,2]} : f32[n,2,4]
      %5 = gather %4, %3 {axis = 1} : f32[n,2,4]
    }
}
